internal import CContinuity
internal import CLayout
public import Forwarding
internal import Linux
public import Logging

/// The process that the user started: it holds the shared descriptor table, starts the engine, and starts the next one
/// when that has died, however it died.
///
/// Single-threaded for ever: it must not touch what starts a thread (NIO, Dispatch, Tasks), or the next clone could hang.
/// It does nothing while the engine works but look, once a second, whether it still does.
public struct Keeper: ~Copyable {
    /// What it waits for. They must be blocked from the start of the program on.
    public static let signals = [
        Signals.child, Signals.terminate, Signals.interrupt, Signals.hangUp, Signals.userTwo,
    ]
    private static let tick: UInt64 = 1_000_000_000

    private let region: SharedRegion
    private let log: Logger
    private let run: @Sendable (SharedRegion) -> Int32
    /// Signals that came while there was no engine.
    private var waiting: [Int32] = []

    /// - Parameters:
    ///   - region: complete: the engine starts from it and from the document that it names.
    ///   - run: the engine's work, see ``EngineProcess``.
    public init(region: SharedRegion, log: Logger, run: @escaping @Sendable (SharedRegion) -> Int32) {
        self.region = region
        self.log = log
        self.run = run
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
        while true {
            let ending: Processes.Ending
            do throws(SystemError) {
                ending = watch(try startEngine())
            } catch {
                log.critical("\(error)")
                if region.continuity.pointee.generation <= 1 { return 1 }
                pause(nanoseconds: Keeper.tick)
                continue
            }
            if limpet_load32(&region.continuity.pointee.ending) != 0 {
                return region.continuity.pointee.exit_status
            }
            note(ending)
        }
    }

    private mutating func startEngine() throws(SystemError) -> Int32 {
        region.continuity.pointee.generation += 1
        region.continuity.pointee.engine_started = Clock.now()
        limpet_store32(&region.continuity.pointee.serving, 0)
        let engine = try EngineProcess.start(region, run)
        for number in waiting { Signals.handOn(number, to: engine) }
        waiting = []
        return engine
    }

    /// Hands signals on to the engine until it has ended.
    private func watch(_ engine: Int32) -> Processes.Ending {
        while true {
            if let ending = Processes.reap(engine) { return ending }
            if let signal = Signals.wait(Keeper.signals, nanoseconds: Keeper.tick), signal.number != Signals.child {
                Signals.handOn(signal.number, to: engine)
            }
        }
    }

    /// Waits, and keeps the signals that come for the next engine.
    private mutating func pause(nanoseconds: UInt64) {
        let end = Clock.now() + nanoseconds
        while true {
            let now = Clock.now()
            if now >= end { return }
            if let signal = Signals.wait(Keeper.signals, nanoseconds: end - now), signal.number != Signals.child {
                waiting.append(signal.number)
            }
        }
    }

    /// Writes a death down where the handler in the engine could not, and says so.
    private func note(_ ending: Processes.Ending) {
        let continuity = region.continuity
        continuity.pointee.engine = 0
        continuity.pointee.deaths += 1
        continuity.pointee.died = Clock.now()
        if continuity.pointee.death.claimed == 0 {
            var death = limpet_death()
            switch ending {
            case .signal(let number): death.signal = number
            case .exit(let status): death.code = status
            }
            death.worker = -1
            death.slot = .max
            death.time = Clock.wall()
            continuity.pointee.death = death
        }
        limpet_publish32(&continuity.pointee.death.claimed, 0)
        log.error("the engine died: \(DeathReport(continuity.pointee.death).reason); the next one takes over")
    }
}
