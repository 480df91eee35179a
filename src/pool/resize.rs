//! Another bound while connections are in use.
//!
//! More is given at once. Less is taken one seat and one permit at a time, in the queue of those who
//! wait: nobody in hand of a connection loses it, and nobody who waits is passed over. Until all is
//! taken the old bound holds, never more.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedSemaphorePermit;

use super::{CloseReason, Limits, Pool, lock};

impl Pool {
    pub fn set_limits(&self, limits: &Limits) {
        let before = self.0.limits.set(limits);
        let now = limits.bound();
        if now == before {
            return;
        }
        self.0.metrics.server.connections_max.add(i64::from(now) - i64::from(before));
        self.0.told.notify_waiters();
        tracing::info!(target = %self.0.dialer.address, before, now, "another bound");
        let pool = self.clone();
        let limits = limits.clone();
        self.0.lifecycle.spawn("resize", async move {
            let stopping = pool.0.lifecycle.stopping();
            stopping.run_until_cancelled(pool.resize(&limits)).await;
        });
    }

    async fn resize(&self, limits: &Limits) {
        let _alone = self.0.resizing.lock().await;
        let (usable, side) = limits.shares();
        loop {
            // Registered before looking, so that nothing comes unseen.
            let told = self.0.told.notified();
            // Who told something else meanwhile sees to that.
            if self.0.limits.bound() != limits.bound() {
                return;
            }
            if self.usable() <= usable {
                break;
            }
            tokio::select! {
                taken = self.take_one_back() => if taken.is_none() { return },
                () = told => return,
            }
        }
        self.resize_side(side).await;
        self.grow(usable.saturating_sub(self.usable()));
    }

    /// With a seat in hand there is, or will soon be, a permit: nobody's, or an idle connection's.
    /// `None`: the pool is closed. Cancel-safe.
    async fn take_one_back(&self) -> Option<()> {
        let seat = self.0.seats.get().await.ok()?;
        self.any_permit().await?.forget();
        self.0.usable.fetch_sub(1, Ordering::Relaxed);
        lock(&self.0.parked).push(seat);
        Some(())
    }

    async fn any_permit(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            let arrived = self.0.arrived.notified();
            if let Ok(permit) = Arc::clone(&self.0.live).try_acquire_owned() {
                return Some(permit);
            }
            if let Some(live) = self.take_oldest() {
                self.retire(live, CloseReason::Surplus);
            }
            tokio::select! {
                // Its permit may have gone to somebody else.
                () = arrived => {}
                permit = Arc::clone(&self.0.live).acquire_owned() => return permit.ok(),
            }
        }
    }

    async fn resize_side(&self, wanted: usize) {
        let has = usize::from(self.0.has_side.load(Ordering::Relaxed));
        if wanted > has {
            self.0.side.add_permits(wanted - has);
        }
        self.0.has_side.store(wanted > 0, Ordering::Relaxed);
        if wanted < has
            && let Ok(permit) = Arc::clone(&self.0.side).acquire_owned().await
        {
            permit.forget();
        }
    }

    fn grow(&self, more: usize) {
        if more == 0 {
            return;
        }
        self.0.usable.fetch_add(more, Ordering::Relaxed);
        self.0.live.add_permits(more);
        let back = {
            let mut parked = lock(&self.0.parked);
            let kept = parked.len().saturating_sub(more);
            parked.split_off(kept)
        };
        let new = more - back.len();
        if new > 0 {
            self.0.seats.resize(self.0.seats.status().max_size + new);
        }
        drop(back);
        for _ in 0..more {
            self.0.arrived.notify_one();
        }
    }
}
