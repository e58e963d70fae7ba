//! Tasks on tokio, and a service on a plain thread: nothing blocks the runtime's thread.
//!
//! The service takes blocks out of a mailbox and answers each through a one-shot; notices about
//! what it does go into a second mailbox, which another task reads. Run it with
//! `cargo run -p blocksmith-sync --example tokio`.

use std::time::Duration;

use blocksmith_sync::{Closed, OnFull, Receiver, ReplySender, Sender, Std, mailbox, oneshot};

/// A block's number, and the sending end for the verdict on it.
struct Question {
    block: u32,
    verdict: ReplySender<Result<u32, &'static str>>,
}

/// Accepts even numbers. A service on a plain thread: it blocks, and knows of no runtime.
fn serve(questions: &Receiver<Question>, notices: &Sender<String>) {
    for Question { block, verdict } in questions.iter() {
        let answer = if block % 2 == 0 { Ok(block) } else { Err("odd") };
        // Blocks while the reader lags behind, as the mailbox's policy says.
        let _ = notices.send(format!("block {block}: {answer:?}"));
        let _ = verdict.send(answer);
    }
}

/// Asks, and awaits the verdict.
async fn ask(service: Sender<Question>, block: u32) -> Result<u32, &'static str> {
    let (verdict, answer) = oneshot::channel::<Std, _>();
    let question = Question { block, verdict };
    service.send_async(question).await.map_err(|_| "the service has stopped")?;
    answer.await.unwrap_or(Err("the service went away"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // Each mailbox has one place, so senders have to wait on both sides.
    let (service, questions) = mailbox::mailbox::<Std, Question>(1, 0, OnFull::Block);
    let (notices, mut news) = mailbox::mailbox::<Std, String>(1, 0, OnFull::Block);
    let thread = std::thread::spawn(move || serve(&questions, &notices));

    let reader = tokio::spawn(async move {
        let mut lines = Vec::new();
        while let Ok(line) = news.recv_async().await {
            lines.push(line);
        }
        assert_eq!(news.recv_async().await, Err(Closed)); // the service has ended
        lines
    });

    // Eight tasks ask at once, on one runtime thread.
    let tasks: Vec<_> = (0..8).map(|block| tokio::spawn(ask(service.clone(), block))).collect();
    for (block, task) in (0..).zip(tasks) {
        let expected = if block % 2 == 0 { Ok(block) } else { Err("odd") };
        assert_eq!(task.await.expect("no task panics"), expected);
    }

    // The runtime sets a time limit by dropping the future, which loses nothing.
    let (late, mut never) = oneshot::channel::<Std, u32>();
    let limit = Duration::from_millis(1);
    assert!(tokio::time::timeout(limit, &mut never).await.is_err());
    assert_eq!(late.send(7), Ok(()));
    assert_eq!(never.await, Ok(7));

    drop(service); // the service ends when its last sender is gone
    let lines = reader.await.expect("the reader does not panic");
    thread.join().expect("the service does not panic");
    assert_eq!(lines.len(), 8);
    println!("{}", lines.join("\n"));
}
