//! The process of a page, seen from the engine.

use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use ipc_channel::ipc::{IpcOneShotServer, IpcSender};
use webgpu_presentation::OwnerId;

use crate::error::EngineError;
use crate::protocol::{Event, Hello};
use crate::webgpu::Message;

/// How long anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The process is killed when this is dropped, if it has not ended.
pub struct Process {
    child: Child,
    events: IpcSender<Event>,
}

impl Process {
    /// Starts this program again as the script process of a page. Its requests go to the WebGPU thread. When its channel closes, because it has
    /// closed the page, crashed or was killed, `gone` is told.
    pub fn start(page: u32, webgpu: Sender<Message>, gone: Sender<OwnerId>) -> Result<Self, EngineError> {
        let (server, name) = IpcOneShotServer::<Hello>::new()?;
        let program = std::env::current_exe()?;
        let mut child = Command::new(program).args(["script", &name, &page.to_string()]).spawn()?;
        let (connected, connection) = channel();
        let owner = OwnerId(page.into());
        std::thread::spawn(move || {
            let Ok((_, Hello { requests, events })) = server.accept() else { return };
            let _ = connected.send(events);
            // A message that cannot be read ends the page as well: what follows it would be served without it.
            while let Ok(request) = requests.recv()
                && webgpu.send(Message::Script(owner, request)).is_ok()
            {}
            let _ = gone.send(owner);
        });
        match connection.recv_timeout(PATIENCE) {
            Ok(events) => Ok(Self { child, events }),
            Err(_) => {
                child.kill()?;
                child.wait()?;
                Err(EngineError::Late("a script process"))
            }
        }
    }

    pub fn send(&self, event: Event) -> Result<(), EngineError> {
        Ok(self.events.send(event)?)
    }

    /// Ends the process at once, in the middle of what it is doing.
    pub fn kill(mut self) -> Result<(), EngineError> {
        if self.child.try_wait()?.is_some() {
            return Err(EngineError::Wrong("a script process has ended before it was killed".into()));
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Lets the page end itself.
    pub fn close(mut self) -> Result<(), EngineError> {
        self.events.send(Event::Close)?;
        match self.child.wait()?.success() {
            true => Ok(()),
            false => Err(EngineError::Wrong("a script process has failed".into())),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
