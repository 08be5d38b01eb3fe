internal import CContinuity
internal import CLayout
import Forwarding
import Linux

/// Starting an engine: a clone that shares the descriptor table, see process.h.
enum EngineProcess {
    /// What the engine's first thread calls.
    private final class Body: Sendable {
        let region: SharedRegion
        let run: @Sendable (SharedRegion) -> Int32

        init(_ region: SharedRegion, _ run: @escaping @Sendable (SharedRegion) -> Int32) {
            self.region = region
            self.run = run
        }
    }

    /// - Parameter run: called in the new process on a thread of its own; the process ends when it returns, with what it
    ///   returns. It has set `ending` where that was meant to be the end of the daemon.
    /// - Returns: the engine's process id.
    static func start(
        _ region: SharedRegion, _ run: @escaping @Sendable (SharedRegion) -> Int32
    ) throws(SystemError) -> Int32 {
        let body = Unmanaged.passRetained(Body(region, run))
        let engine = limpet_clone_engine(
            region.header,
            { context in
                let body = Unmanaged<Body>.fromOpaque(context).takeUnretainedValue()
                Processes.endAtOnce(body.run(body.region))
            }, body.toOpaque())
        // The clone has a copy of its own of all that this process can reach.
        let failure = engine < 0 ? Errno.last : nil
        body.release()
        if let failure { throw SystemError("start the engine", failure) }
        return engine
    }
}
