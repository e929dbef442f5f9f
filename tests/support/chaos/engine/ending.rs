//! When nothing is in flight, and when all is over.

use super::*;

impl Engine {
    /// Waits until nothing is in flight and everything was told, and judges. Then forgets, so that nothing grows.
    pub fn settle(&mut self, renderers: &[Mutex<Renderer>]) {
        self.do_transactions(usize::MAX);
        // Ids of contexts that others ended.
        self.presenter.maintain();
        // An answer for nobody: what was to be told before it has been told then.
        let mut barriers = 0;
        let deadline = Instant::now() + PATIENCE;
        while barriers < 2 {
            if self.ledger.open() == 0 && self.reads.is_empty() {
                barriers += 1;
                self.ask(NOBODY, None);
            }
            self.collect(Duration::from_millis(1));
            if self.wake.swap(false, Ordering::AcqRel) {
                self.presenter.maintain();
            }
            if Instant::now() > deadline {
                let (open, reads) = (self.ledger.open(), self.reads.len());
                self.ledger.fault(format!("{open} presents do not end, {reads} images do not come"));
                return;
            }
        }
        let ended = self.ledger.judge();
        self.judge_reads(&ended);
        self.judge_ids();
        let images: Vec<_> =
            self.slots.iter().flatten().filter_map(|slot| Some((slot.key?, slot.life))).collect();
        renderers.iter().for_each(|renderer| renderer.lock().catch_up(&images));
        // What a renderer locked let go of what was held back: nobody missed it meanwhile.
        for renderer in renderers {
            let mut renderer = renderer.lock();
            renderer.draw();
            renderer.let_all_go();
        }
        self.judge_newest();
        let mut renderers: Vec<_> = renderers.iter().map(Mutex::lock).collect();
        for renderer in &mut renderers {
            while renderer.draw() {}
            renderer.let_all_go();
        }
        self.ledger.forget();
        renderers.iter_mut().for_each(|renderer| renderer.forget());
    }

    /// Each canvas is read as it is shown.
    pub(super) fn judge_newest(&mut self) {
        for slot in 0..SLOTS {
            let Some((life, sequence)) =
                self.slots[slot as usize].as_ref().map(|slot| (slot.life, slot.sequence))
            else {
                continue;
            };
            match self.presenter.statistics(ContextId(slot.into())) {
                Ok(Statistics { presented, superseded, failed, in_flight: 0, .. })
                    if presented + superseded + failed == sequence => {}
                statistics => self.ledger.fault(format!("{sequence} presents count as {statistics:?}")),
            }
            let asked = self.ask(slot, None);
            let deadline = Instant::now() + PATIENCE;
            while self.reads.contains_key(&asked) && Instant::now() < deadline {
                self.collect(Duration::from_millis(1));
            }
            let expected = self.ledger.newest(life).map(|(_, shown)| shown);
            for (read, seen) in std::mem::take(&mut self.answered) {
                if !expected.as_ref().is_some_and(|expected| seen.is(expected)) {
                    self.ledger.fault(format!("{read:?} gave {seen:?} in the end, not {expected:?}"));
                }
            }
        }
    }

    /// Encoder ids come back with each present, buffer ids with their contexts.
    pub(super) fn judge_ids(&self) {
        let alive = self.slots.iter().flatten().count();
        for id in self.ledger.lent() {
            if alive == 0 || !matches!(id, ReturnedId::Buffer(_)) {
                self.ledger.fault(format!("{id:?} did not come back"));
            }
        }
    }

    /// Waits for this long, as an engine does that has nothing to do.
    pub fn idle(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.collect(Duration::from_millis(10));
            if self.wake.swap(false, Ordering::AcqRel) {
                self.presenter.maintain();
            }
        }
    }

    /// No contexts, no devices, nothing that script kept.
    pub fn clear(&mut self, renderers: &[Mutex<Renderer>]) {
        for slot in 0..SLOTS {
            if self.slots[slot as usize].is_some() {
                self.destroy(slot);
            }
        }
        while !self.devices.is_empty() {
            self.drop_device(0);
        }
        self.settle(renderers);
        self.judge_waits();
        for (image, sight) in std::mem::take(&mut self.snapshots) {
            self.look_again(&image, &sight);
        }
        self.presenter.maintain();
    }

    /// Entries of wgpu-core's hub that frames, devices and textures leave.
    pub fn hub_entries(&self) -> usize {
        let report = self.gpu.global.generate_report();
        let hub = report.hub_report();
        [
            &hub.devices,
            &hub.queues,
            &hub.buffers,
            &hub.textures,
            &hub.texture_views,
            &hub.command_encoders,
            &hub.command_buffers,
        ]
        .into_iter()
        .map(|entries| entries.num_allocated.max(entries.num_kept_from_user))
        .sum()
    }

    /// Ends the engine with whatever is in flight. Nothing is left in wgpu-core, all ids are back, no thread goes on; what
    /// renderers and snapshots hold stays.
    pub fn finish(mut self, renderers: &[Mutex<Renderer>]) -> Arc<Ledger> {
        // The pollers of devices that live run all closures; a device that is dropped may take some along.
        let [asked, ran] = self.closures.each_ref().map(|count| count.load(Ordering::SeqCst));
        if ran > asked {
            self.ledger.fault(format!("{asked} closures ran {ran} times"));
        }
        for slot in self.slots.iter().flatten() {
            self.ledger.end_life(slot.life);
        }
        for texture in std::mem::take(&mut self.kept) {
            self.gpu.drop_texture(texture.pending.texture_id);
        }
        self.collect(Duration::ZERO);
        let waits = (self.waits, self.awaited.clone());
        let Self { presenter, ledger, devices, gpu, snapshots, .. } = self;
        drop(presenter);
        for Held { device, .. } in devices {
            gpu.global.device_drop(device.id);
            gpu.global.queue_drop(device.queue);
        }
        // They have been waited for, but for those that free a frame; the kernel takes a moment to forget one.
        let deadline = Instant::now() + Duration::from_millis(500);
        while our_threads() > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        let threads = our_threads();
        if threads > 0 {
            ledger.fault(format!("{threads} threads go on"));
        }
        let deadline = Instant::now() + PATIENCE;
        while waits.1.load(Ordering::SeqCst) < waits.0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        if waits.1.load(Ordering::SeqCst) != waits.0 {
            ledger.fault(format!("{waits:?}: waits and their answers"));
        }
        if ledger.open() > 0 {
            ledger.fault(format!("{} presents do not end with the presenter", ledger.open()));
        }
        for id in ledger.lent() {
            ledger.fault(format!("{id:?} did not come back in the end"));
        }
        ledger.judge();
        renderers.iter().for_each(|renderer| renderer.lock().let_all_go());
        for (image, sight) in snapshots {
            if let Sight::Picture(picture) = sight
                && !picture.is(image.format().into(), image.rows())
            {
                ledger.fault(format!("a snapshot of {picture:?} has not outlived its device"));
            }
        }
        let report = gpu.global.generate_report();
        let hub = report.hub_report();
        for (entries, what) in [
            (&hub.devices, "devices"),
            (&hub.queues, "queues"),
            (&hub.buffers, "buffers"),
            (&hub.textures, "textures"),
            (&hub.command_encoders, "command encoders"),
            (&hub.command_buffers, "command buffers"),
        ] {
            if !entries.is_empty() {
                ledger.fault(format!("{what} are left in wgpu-core: {entries:?}"));
            }
        }
        ledger
    }
}

/// Threads of this crate in this process. Their names are cut off by the kernel.
pub(super) fn our_threads() -> usize {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0 };
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
    tasks.flatten().filter_map(name).filter(|name| name.starts_with("webgpu p")).count()
}
