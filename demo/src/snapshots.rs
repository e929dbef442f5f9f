//! What `get_image` answers, compared with what the textures held.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use webgpu_presentation::{ContextId, GetImageError, PendingTexture, Presenter, Snapshot};

use crate::check::Truth;
use crate::error::DemoError;

pub struct Snapshots {
    sender: Sender<Answer>,
    answers: Receiver<Answer>,
    open: usize,
    pub verified: usize,
    /// Descriptions of what was wrong.
    pub wrong: Vec<String>,
}

struct Answer {
    frame: u32,
    truth: Truth,
    snapshot: Result<Snapshot, GetImageError>,
}

impl Snapshots {
    pub fn new() -> Self {
        let (sender, answers) = channel();
        Self { sender, answers, open: 0, verified: 0, wrong: Vec::new() }
    }

    /// Asks for the contents of a texture, or without one for what was presented last. The answer has to be `truth`.
    pub fn ask(
        &mut self,
        presenter: &mut Presenter,
        context: ContextId,
        texture: Option<PendingTexture>,
        truth: Truth,
        frame: u32,
    ) {
        let sender = self.sender.clone();
        self.open += 1;
        presenter.get_image(context, texture, move |snapshot| {
            // The receiver may be gone when the demo ends early.
            let _ = sender.send(Answer { frame, truth, snapshot });
        });
    }

    /// Checks the answers that have come.
    pub fn collect(&mut self) {
        while let Ok(answer) = self.answers.try_recv() {
            self.take(answer);
        }
    }

    /// Waits for all answers, and checks them.
    pub fn finish(&mut self, timeout: Duration) -> Result<(), DemoError> {
        while self.open > 0 {
            let answer = self.answers.recv_timeout(timeout);
            let open = self.open;
            self.take(answer.map_err(|_| DemoError::NoSnapshot { open, waited: timeout })?);
        }
        Ok(())
    }

    fn take(&mut self, Answer { frame, truth, snapshot }: Answer) {
        self.open -= 1;
        match snapshot {
            Ok(snapshot) if truth.is(&snapshot) => self.verified += 1,
            Ok(snapshot) => {
                self.wrong.push(format!("{}, frame {frame}: {snapshot:?} has other bytes", truth.region.name))
            }
            Err(error) => self.wrong.push(format!("{}, frame {frame}: {error}", truth.region.name)),
        }
    }
}
