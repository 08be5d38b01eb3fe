internal import CContinuity
internal import CLayout
public import Forwarding
internal import Linux
public import Logging

/// The process that the user started: it holds the shared descriptor table, starts the engine, and starts the next one
/// when that has died, however it died.
///
/// Single-threaded for ever: it must not touch what starts a thread (NIO, Dispatch, Tasks), or the next clone could hang.
/// And it opens no descriptor while there is an engine, whose first steps close all that the region does not name. While
/// the engine works it looks once a second whether it still does, and hands signals on.
public struct Keeper: ~Copyable {
    /// What it waits for. They must be blocked from the start of the program on.
    public static let signals = [
        Signals.child, Signals.terminate, Signals.interrupt, Signals.hangUp, Signals.userTwo,
    ]
    private static let tick: UInt64 = 1_000_000_000
    /// What a process that was told to abort may take to write down why, before it is killed.
    private static let lastWords: UInt64 = 500_000_000
    /// Deaths of engines that have never served after which the start has failed.
    private static let failedStarts = 5

    private let region: SharedRegion
    private let log: Logger
    private let run: @Sendable (SharedRegion) -> Int32
    private let noteRestart: (String?) -> Void
    private var notices: ServiceNotices
    private let score: EngineScore
    private var handedDown: AdoptedRegion?
    private let backoff = Backoff()
    /// A death that the log does not tell of yet: where clients wait, the next engine comes first.
    private var unsaid: Unsaid?
    private struct Unsaid {
        let report: DeathReport
        let generation: UInt32
        let step: Backoff.Step
    }

    /// Signals that came while there was no engine.
    private var waiting: [Int32] = []
    /// The engine that has just ended was that of a new version which did not come so far as to serve.
    private var isOverdue = false
    /// SIGTERM or SIGINT has come: whatever happens, the daemon is to end.
    private var isEnding = false

    /// - Parameters:
    ///   - region: complete: the engine starts from it and from the document that it names.
    ///   - handedDown: where it comes from another image.
    ///   - run: the engine's work, see ``EngineProcess``.
    ///   - noteRestart: tells those who ask the control socket why nobody answers; nil: somebody does again.
    public init(
        region: SharedRegion, handedDown: AdoptedRegion? = nil, log: Logger,
        run: @escaping @Sendable (SharedRegion) -> Int32, noteRestart: @escaping (String?) -> Void
    ) {
        self.region = region
        self.handedDown = handedDown
        self.log = log
        self.run = run
        self.noteRestart = noteRestart
        notices = ServiceNotices(region)
        score = EngineScore(region)
    }

    /// Makes the descriptor table so large that it never has to grow while it is shared.
    /// - Parameter descriptors: as many as will be needed at most.
    public static func growDescriptorTable(to descriptors: Int) {
        limpet_grow_descriptor_table(Int32(clamping: descriptors))
    }

    /// Starts engines until one ends the daemon.
    /// - Returns: the daemon's exit status.
    public mutating func serve() -> Int32 {
        if limpet_name_keeper(region.continuity) != 0 {
            log.critical("\(SystemError("be watched over", .last))")
            return 1
        }
        limpet_fault_prepare_keeper(region.header)
        if handedDown != nil, limpet_load32(&region.continuity.pointee.unnoted) != 0 {
            log.error("the keeper died, and then the engine; process \(Processes.own) is the keeper now")
            note(.exit(-1))
        }
        while true {
            let ending: Processes.Ending
            do throws(SystemError) {
                ending = watch(try startEngine())
            } catch {
                log.critical("\(error)")
                if region.continuity.pointee.resumed == 0 || isEnding { return 1 }
                pause(nanoseconds: Keeper.tick)
                continue
            }
            if let status = judge(ending) { return status }
        }
    }

    // MARK: An engine

    private mutating func startEngine() throws(SystemError) -> Int32 {
        let continuity = region.continuity
        continuity.pointee.generation += 1
        continuity.pointee.engine_started = Clock.now()
        limpet_store32(&continuity.pointee.serving, 0)
        for worker in 0..<region.workerCount { limpet_store32(&region.worker(worker).pointee.thread, 0) }
        // Before there is one: what an engine has, its first thread has for ever, and so would the next keeper.
        NeededCapabilities(region).giveUpOthers()
        let (region, run) = (region, run)
        let engine = try score.raised { () throws(SystemError) in try EngineProcess.start(region, run) }
        if let adopted = handedDown.take() {
            guard adopted.release(engine) else { Processes.endAtOnce(1) }
            if TestImage.value("keeper") == "dies" { Signals.send(Signals.kill, to: Processes.own) }
        }
        for number in waiting { Signals.handOn(number, to: engine) }
        waiting = []
        say()
        limpet_forget_program()
        return engine
    }

    /// Hands signals on to the engine, and looks after it, until it has ended.
    ///
    /// It stays a zombie until there is another, or until another image is there: clients wait meanwhile, see
    /// ``Processes/ending(of:)``.
    private mutating func watch(_ engine: Int32) -> Processes.Ending {
        var watchdog = Watchdog(beats)
        var nextLook = Clock.now() + Keeper.tick
        var isNoted = true
        while true {
            if let ending = Processes.ending(of: engine) {
                // What it has said in its last moment.
                notices.look(now: Clock.now())
                return ending
            }
            let now = Clock.now()
            if now >= nextLook {
                nextLook = now + Keeper.tick
                _ = limpet_look_goes_on(region.header)
                Processes.reapAll(but: engine)
                let still = watchdog.look(beats)
                if !still.isEmpty { return end(engine, still) }
                if RollBack.isOverdue(region.continuity, now: now) { return endOverdue(engine) }
            }
            if isNoted, limpet_load32(&region.continuity.pointee.serving) != 0 {
                isNoted = false
                noteRestart(nil)
                limpet_forget_program()
            }
            notices.look(now: now)
            let due = max(now, min(nextLook, notices.due ?? .max))
            guard let signal = Signals.wait(Keeper.signals + [Signals.handedOn], nanoseconds: due - now) else {
                continue
            }
            if signal.number == Signals.handedOn {
                if signal.sender == engine, signal.value == LIMPET_LOOK_ASKED { limpet_look_begin(region.header) }
            } else {
                take(signal.number, engine)
            }
            _ = limpet_look_goes_on(region.header)
        }
    }

    private mutating func take(_ number: Int32, _ engine: Int32?) {
        if number == Signals.child { return }
        if number == Signals.terminate || number == Signals.interrupt { isEnding = true }
        if let engine { Signals.handOn(number, to: engine) } else { waiting.append(number) }
    }

    /// Waits, and keeps the signals that come for the next engine. One that asks for the end ends the wait.
    private mutating func pause(nanoseconds: UInt64) {
        let end = Clock.now() + nanoseconds
        while !isEnding {
            let now = Clock.now()
            if now >= end { return }
            notices.look(now: now)
            let due = max(now, min(end, notices.due ?? .max))
            if let signal = Signals.wait(Keeper.signals, nanoseconds: due - now) { take(signal.number, nil) }
        }
    }

    // MARK: An engine that stands still

    /// What goes on as long as the workers and the control loop do.
    private var beats: [UInt64] {
        (0..<region.workerCount).map { limpet_load64(&region.worker($0).pointee.heartbeat) }
            + [limpet_load64(&region.continuity.pointee.control_heartbeat)]
    }

    /// Ends an engine of which a part has stood still.
    private mutating func end(_ engine: Int32, _ still: [Watchdog.Owner]) -> Processes.Ending {
        let names = still.map { owner in
            switch owner {
            case .worker(let index): "worker \(index)"
            case .control: "the control loop"
            }
        }
        log.error(
            "the engine stands still and is ended: nothing for \(Watchdog.patience) s from \(names.joined(separator: ", "))"
        )
        limpet_store32(&region.continuity.pointee.death.claimed, UInt32(LIMPET_DEATH_ORDERED))
        var thread: UInt32 = 0
        // Where all of it stands still somebody has stopped it, and no connection is to blame.
        if still.count <= region.workerCount {
            for case .worker(let index) in still {
                limpet_charge_fault(region.worker(index))
                if thread == 0 { thread = limpet_load32(&region.worker(index).pointee.thread) }
            }
        }
        // To the thread itself, so that what is written down says where it stands.
        if thread == 0 || Signals.send(Signals.abort, to: engine, thread: Int32(thread)) != nil {
            Signals.send(Signals.abort, to: engine)
        }
        Signals.send(Signals.proceed, to: engine)
        let end = Clock.now() + Keeper.lastWords
        while Clock.now() < end {
            if let ending = Processes.reap(engine) { return ending }
            _ = Signals.wait([Signals.child], nanoseconds: Keeper.lastWords / 10)
        }
        Signals.send(Signals.kill, to: engine)
        while true {
            if let ending = Processes.reap(engine) { return ending }
            // A process that waits for a disk ends when the disk answers.
            notices.look(now: Clock.now())
            _ = Signals.wait([Signals.child], nanoseconds: Keeper.lastWords)
        }
    }

    // MARK: The end of an engine

    /// What an engine's end means.
    /// - Returns: the exit status, where it is the end of the daemon.
    private mutating func judge(_ ending: Processes.Ending) -> Int32? {
        let continuity = region.continuity
        continuity.pointee.engine = 0
        limpet_look_abandon()
        if limpet_load32(&continuity.pointee.ending) != 0 { return continuity.pointee.exit_status }
        if limpet_load32(&continuity.pointee.upgrade.state) == UInt32(LIMPET_UPGRADE_PARKED) {
            upgrade()
            return nil
        }
        let hasServed = limpet_load32(&continuity.pointee.serving) != 0
        let step = note(ending)
        if step != .wait(0) || isEnding || !hasServed { say() }
        if isEnding && !hasServed {
            log.critical("the daemon was to end, and no engine could be started that would have done it in good order")
            return 1
        }
        if continuity.pointee.resumed == 0, continuity.pointee.deaths >= Keeper.failedStarts {
            log.critical("no engine has come so far as to serve: giving up")
            return 1
        }
        if isEnding { waiting = [Signals.terminate] }
        if RollBack.note(continuity, now: continuity.pointee.died) || isOverdue {
            say()
            rollBack()
        }
        switch step {
        case .newImage: startAnew()
        case .wait(0): break
        case .wait(let wait):
            noteRestart(
                """
                engine restarting: \(continuity.pointee.deaths) deaths so far, the last one: \
                \(DeathReport(region).reason)
                """)
            pause(nanoseconds: wait)
        }
        return nil
    }

    /// Writes a death down, where the handler in the engine could not.
    /// - Returns: what to do before the next engine.
    @discardableResult
    private mutating func note(_ ending: Processes.Ending) -> Backoff.Step {
        let continuity = region.continuity
        let now = Clock.now()
        continuity.pointee.deaths += 1
        continuity.pointee.died = now
        let claimed = limpet_load32(&continuity.pointee.death.claimed)
        if claimed != UInt32(LIMPET_DEATH_CLAIMED) {
            var death = limpet_death()
            switch ending {
            case .signal(let number): death.signal = number
            case .exit(let status): death.code = status
            }
            death.worker = -1
            death.slot = .max
            death.watchdog = claimed == UInt32(LIMPET_DEATH_ORDERED) ? 1 : 0
            death.claimed = claimed
            death.time = Clock.wall()
            region.process.pointee.death_image_bytes = 0
            region.process.pointee.death_build_id_length = 0
            continuity.pointee.death = death
        }
        let step = backoff.note(continuity, now: now)
        unsaid = Unsaid(
            report: DeathReport(region), generation: continuity.pointee.generation, step: step)
        limpet_publish32(&continuity.pointee.death.claimed, UInt32(LIMPET_DEATH_UNCLAIMED))
        limpet_publish32(&continuity.pointee.unnoted, 0)
        return step
    }

    /// Tells the log of the last death, once.
    private mutating func say() {
        guard let death = unsaid.take() else { return }
        let plan =
            switch death.step {
            case .wait(0): "the next one takes over"
            case .wait(let wait): "the next one takes over in \(wait / 1_000_000) ms"
            case .newImage: "the fifth in a minute: the keeper starts itself anew"
            }
        var metadata: Logger.Metadata = ["engine": "\(death.generation)"]
        let trace = death.report.trace
        if !trace.isEmpty { metadata["trace"] = "\(trace.joined(separator: " "))" }
        if let build = death.report.buildID { metadata["build_id"] = "\(build)" }
        log.error("the engine died: \(death.report.reason); \(plan)", metadata: metadata)
        notices.say("the engine died: \(death.report.reason); \(plan)")
    }

    // MARK: Another image

    /// Makes way for the new version, which goes on from here. Where it cannot be executed nothing has happened.
    private func upgrade() {
        let continuity = region.continuity
        mendExecutable()
        if TestImage.value("exec") == "exchanged" {
            let path = limpet_look_path(region.sandbox.pointer(to: \.look)!)
            limpet_text_set(path, 4096, "/bin/true")
        }
        var next = limpet_open_next(region.header)
        // For tests: the file has become something else meanwhile.
        if TestImage.value("exec") == "fails" { next = continuity.pointee.document.0 }
        continuity.pointee.executable_next = next
        if next >= 0 {
            limpet_exec_guarded(
                region.header, next, continuity.pointee.executable, limpet_upgrade_patience(continuity))
        }
        let error = Keeper.failure("execute the new version", .last)
        // The next engine closes what has no name, and says why there was no upgrade.
        continuity.pointee.executable_next = -1
        limpet_upgrade_set_reason(&continuity.pointee.upgrade, "\(error)")
        limpet_publish32(&continuity.pointee.upgrade.state, UInt32(LIMPET_UPGRADE_REFUSED))
    }

    /// What the engine shares with the keeper it could have put something else in the place of.
    private func mendExecutable() {
        guard limpet_mend_executable(region.continuity) == 1 else { return }
        log.error("the descriptor of the executable that runs was another file: the keeper has opened it anew")
    }

    /// - Returns: what failed and why, in words.
    static func failure(_ action: String, _ error: Errno) -> SystemError {
        SystemError(error == .stale ? action + ": it is not the file that was looked at" : action, error)
    }

    /// Ends the first engine of a new version, which does not come so far as to serve.
    private mutating func endOverdue(_ engine: Int32) -> Processes.Ending {
        log.error("the new version does not serve after \(RollBack.patience / 1_000_000_000) s: its engine is ended")
        isOverdue = true
        Signals.send(Signals.kill, to: engine)
        return Processes.waitForEnd(engine)
    }

    /// Makes way for the version before. Where it cannot be executed nothing has happened.
    private mutating func rollBack() {
        let upgrade = region.continuity.pointee.upgrade
        let reason =
            isOverdue
            ? "the new version did not serve within \(RollBack.patience / 1_000_000_000) s"
            : "the new version died \(upgrade.deaths) times at once, the last time:"
                + " \(DeathReport(region).reason)"
        isOverdue = false
        mendExecutable()
        do throws(SystemError) {
            try RollBack.run(region, reason: reason)
        } catch {
            log.error("\(reason); and there is no way back: \(error)")
        }
    }

    /// Executes this program anew, so that address randomisation starts anew.
    private func startAnew() {
        let continuity = region.continuity
        mendExecutable()
        guard continuity.pointee.executable >= 0 else { return }
        limpet_exec_guarded(region.header, continuity.pointee.executable, continuity.pointee.executable, 0)
        log.error("\(SystemError("execute the keeper anew", .last)); it goes on as it is")
    }
}
