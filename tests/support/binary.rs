//! Prepared statements for the client of bare bytes.
//!
//! Knows the few types that tests bind and read: integers, doubles, strings of bytes, NULL.

use super::client::{Error, RawClient, Row, capability, lenenc, ok_status, refusal};

/// What COM_STMT_PREPARE answered.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    pub id: u32,
    pub params: u16,
    pub columns: u16,
}

/// A bound parameter.
#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Int(i64),
    Bytes(Vec<u8>),
    /// Its value went ahead with COM_STMT_SEND_LONG_DATA.
    Long,
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Bytes(value.as_bytes().to_vec())
    }
}

/// The cursor flag of COM_STMT_EXECUTE.
pub const READ_ONLY_CURSOR: u8 = 1;
/// Status: rows are to be fetched.
pub const CURSOR_EXISTS: u16 = 64;
/// Status: the cursor has no more.
pub const LAST_ROW_SENT: u16 = 128;

impl RawClient {
    pub fn prepare(&mut self, sql: &str) -> Result<Statement, Error> {
        self.command(&[&[22], sql.as_bytes()].concat())?;
        self.read_prepared()
    }

    pub fn read_prepared(&mut self) -> Result<Statement, Error> {
        let packet = self.read_packet()?;
        if packet[0] == 0xFF {
            return Err(refusal(&packet));
        }
        let number = |at: usize| u16::from_le_bytes([packet[at], packet[at + 1]]);
        let id = u32::from_le_bytes(packet[1..5].try_into().unwrap());
        let statement = Statement { id, columns: number(5), params: number(7) };
        for count in [statement.params, statement.columns] {
            for _ in 0..count {
                self.read_packet()?;
            }
            if count > 0 && !self.speaks(capability::DEPRECATE_EOF) {
                self.read_packet()?;
            }
        }
        Ok(statement)
    }

    /// With the types of all parameters.
    pub fn execute(&mut self, id: u32, values: &[Value]) -> Result<Vec<Row>, Error> {
        self.send_execute(id, 0, values, true)?;
        Ok(self.read_binary_result()?.0)
    }

    /// Relying on the types of an earlier execute.
    pub fn execute_again(&mut self, id: u32, values: &[Value]) -> Result<Vec<Row>, Error> {
        self.send_execute(id, 0, values, false)?;
        Ok(self.read_binary_result()?.0)
    }

    pub fn send_execute(
        &mut self,
        id: u32,
        flags: u8,
        values: &[Value],
        types: bool,
    ) -> Result<(), Error> {
        self.command(&execute_packet(id, flags, values, types))
    }

    /// The rows of one result with its status flags.
    pub fn read_binary_result(&mut self) -> Result<(Vec<Row>, u16), Error> {
        let packet = self.read_packet()?;
        match packet[0] {
            0xFF => return Err(refusal(&packet)),
            0x00 => return Ok((Vec::new(), ok_status(&packet))),
            _ => {}
        }
        let columns = lenenc(&mut packet.as_slice()).unwrap_or(0);
        let mut types = Vec::new();
        for _ in 0..columns {
            types.push(column_type(&self.read_packet()?));
        }
        if !self.speaks(capability::DEPRECATE_EOF) {
            let packet = self.read_packet()?;
            let status = u16::from_le_bytes([packet[3], packet[4]]);
            if status & CURSOR_EXISTS != 0 {
                return Ok((Vec::new(), status));
            }
        }
        self.read_binary_rows(&types)
    }

    /// Rows up to the packet that ends them.
    pub fn read_binary_rows(&mut self, types: &[u8]) -> Result<(Vec<Row>, u16), Error> {
        let mut rows = Vec::new();
        loop {
            let packet = self.read_packet()?;
            match packet[0] {
                0xFF => return Err(refusal(&packet)),
                0xFE if self.speaks(capability::DEPRECATE_EOF) => {
                    return Ok((rows, ok_status(&packet)));
                }
                0xFE => return Ok((rows, u16::from_le_bytes([packet[3], packet[4]]))),
                _ => rows.push(binary_row(&packet, types)),
            }
        }
    }

    /// COM_STMT_FETCH; `types` are those of the columns.
    pub fn fetch(&mut self, id: u32, count: u32, types: &[u8]) -> Result<(Vec<Row>, u16), Error> {
        self.command(&[&[28], &id.to_le_bytes()[..], &count.to_le_bytes()].concat())?;
        self.read_binary_rows(types)
    }

    /// COM_STMT_SEND_LONG_DATA, which has no reply.
    pub fn send_long_data(&mut self, id: u32, param: u16, data: &[u8]) -> Result<(), Error> {
        self.command(&[&[24], &id.to_le_bytes()[..], &param.to_le_bytes(), data].concat())
    }

    /// COM_STMT_RESET.
    pub fn reset_statement(&mut self, id: u32) -> Result<(), Error> {
        self.command(&[&[26], &id.to_le_bytes()[..]].concat())?;
        self.read_result().map(drop)
    }

    /// COM_STMT_CLOSE, which has no reply.
    pub fn close_statement(&mut self, id: u32) -> Result<(), Error> {
        self.command(&[&[25], &id.to_le_bytes()[..]].concat())
    }
}

/// The payload of a COM_STMT_EXECUTE.
pub fn execute_packet(id: u32, flags: u8, values: &[Value], types: bool) -> Vec<u8> {
    let mut packet = vec![23];
    packet.extend_from_slice(&id.to_le_bytes());
    packet.push(flags);
    packet.extend_from_slice(&1_u32.to_le_bytes());
    if values.is_empty() {
        return packet;
    }
    let mut nulls = vec![0; values.len().div_ceil(8)];
    for (index, value) in values.iter().enumerate() {
        if matches!(value, Value::Null) {
            nulls[index / 8] |= 1 << (index % 8);
        }
    }
    packet.extend_from_slice(&nulls);
    packet.push(u8::from(types));
    if types {
        for value in values {
            let kind = match value {
                Value::Null => 6,
                Value::Int(_) => 8,
                Value::Bytes(_) => 253,
                Value::Long => 251,
            };
            packet.extend_from_slice(&[kind, 0]);
        }
    }
    for value in values {
        match value {
            Value::Null | Value::Long => {}
            Value::Int(number) => packet.extend_from_slice(&number.to_le_bytes()),
            Value::Bytes(bytes) => {
                packet.push(0xFE);
                packet.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
                packet.extend_from_slice(bytes);
            }
        }
    }
    packet
}

/// Of a column definition: after six strings, a length, a character set and a display width.
fn column_type(packet: &[u8]) -> u8 {
    let mut rest = packet;
    for _ in 0..6 {
        let length = usize::try_from(lenenc(&mut rest).unwrap()).unwrap();
        rest = &rest[length..];
    }
    rest[7]
}

fn binary_row(packet: &[u8], types: &[u8]) -> Row {
    let nulls = &packet[1..];
    let mut rest = &packet[1 + (types.len() + 9) / 8..];
    let mut row = Row::new();
    for (index, kind) in types.iter().enumerate() {
        let bit = index + 2;
        if nulls[bit / 8] & (1 << (bit % 8)) != 0 {
            row.push(None);
            continue;
        }
        let size = match kind {
            1 => 1,
            2 | 13 => 2,
            3 | 9 | 4 => 4,
            5 | 8 => 8,
            _ => usize::try_from(lenenc(&mut rest).unwrap()).unwrap(),
        };
        let (value, later) = rest.split_at(size);
        rest = later;
        row.push(Some(text(*kind, value)));
    }
    row
}

fn text(kind: u8, value: &[u8]) -> String {
    match kind {
        1 | 2 | 13 | 3 | 9 | 8 => {
            let negative = value.last().is_some_and(|byte| byte & 0x80 != 0);
            let mut wide = [if negative { 0xFF } else { 0 }; 8];
            wide[..value.len()].copy_from_slice(value);
            i64::from_le_bytes(wide).to_string()
        }
        4 => f32::from_le_bytes(value.try_into().unwrap()).to_string(),
        5 => f64::from_le_bytes(value.try_into().unwrap()).to_string(),
        _ => String::from_utf8_lossy(value).into_owned(),
    }
}
