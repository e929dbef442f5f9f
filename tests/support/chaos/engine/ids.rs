//! Ids that the engine brings, or wgpu-core's.

use super::*;

/// Ids that the engine brings, or wgpu-core's.
pub(super) struct Ids {
    pub(super) own: bool,
    pub(super) made: u32,
}

impl Ids {
    pub(super) fn buffer(&mut self, ledger: &Ledger) -> BufferId {
        let known = ledger.reuse(|id| matches!(id, ReturnedId::Buffer(_)));
        let id = match known {
            Some(ReturnedId::Buffer(id)) => id,
            _ => BufferId::zip(self.next(), 1),
        };
        ledger.lend(ReturnedId::Buffer(id));
        id
    }

    pub(super) fn encoder(&mut self, ledger: &Ledger) -> Option<EncoderIds> {
        if !self.own {
            return None;
        }
        let command_encoder = match ledger.reuse(|id| matches!(id, ReturnedId::CommandEncoder(_))) {
            Some(ReturnedId::CommandEncoder(id)) => id,
            _ => CommandEncoderId::zip(self.next(), 1),
        };
        let command_buffer = match ledger.reuse(|id| matches!(id, ReturnedId::CommandBuffer(_))) {
            Some(ReturnedId::CommandBuffer(id)) => id,
            _ => CommandBufferId::zip(self.next(), 1),
        };
        ledger.lend(ReturnedId::CommandEncoder(command_encoder));
        ledger.lend(ReturnedId::CommandBuffer(command_buffer));
        Some(EncoderIds { command_encoder, command_buffer })
    }

    pub(super) fn next(&mut self) -> u32 {
        self.made += 1;
        self.made
    }
}
