//! Tasks are counted by name while they run, and waited for to the last.

use tidegate::lifecycle::{Lifecycle, Phase};
use tokio::sync::oneshot;

#[tokio::test]
async fn tasks_are_counted_by_name_until_they_end() {
    let life = Lifecycle::new();
    let (end, ended) = oneshot::channel::<()>();
    life.spawn("session", ended);
    life.spawn("probe", std::future::pending::<()>());
    assert_eq!(life.running(), [("probe", 1), ("session", 1)]);
    end.send(()).unwrap();
    while life.running()[1].1 > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(life.running(), [("probe", 1), ("session", 0)]);
}

#[tokio::test]
async fn a_task_that_panics_is_counted_out() {
    let life = Lifecycle::new();
    life.spawn("bad", async { panic!("on purpose") });
    life.wait_all().await;
    assert_eq!(life.running(), [("bad", 0)]);
}

#[tokio::test]
async fn waiting_includes_tasks_spawned_meanwhile() {
    let life = Lifecycle::new();
    let (inner, stopping) = (life.clone(), life.stopping());
    life.spawn("zebra", async move {
        stopping.cancelled().await;
        inner.spawn("ant", tokio::task::yield_now());
    });
    let wait = life.wait_all();
    life.set(Phase::Stopped);
    wait.await;
    assert_eq!(life.running(), [("ant", 0), ("zebra", 0)]);
}

#[tokio::test]
async fn nothing_to_wait_for() {
    Lifecycle::new().wait_all().await;
}
