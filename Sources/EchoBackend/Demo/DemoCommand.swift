import ArgumentParser
import Glibc
import NIOCore
import NIOPosix

/// `limpet-echo demo`: starts everything, plays the scenario or stays, and ends everything.
struct DemoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Show on real connections what Limpet does, and check each statement on the way.",
        discussion: """
            Starts three WebSocket echo servers and limpetd before them, all on loopback and on ports that the kernel \
            chooses, connects two dozen clients from addresses of their own, drains a server and brings its clients \
            home. Ends all that it started, also on Ctrl-C.
            """)

    @Option(help: "Path of the limpetd to show.")
    var limpetd: String

    @Option(help: "Path of the limpetctl to show.")
    var limpetctl: String

    @Flag(help: "Connect the clients, then leave it all running to play with until Ctrl-C.")
    var stay = false

    func run() throws {
        // The mask first: every thread and the signals' own one inherit it.
        let signals = StopSignals()
        let stage = try Stage(limpetd: limpetd)
        spawnThread { Self.endShow(on: signals.wait(), stage: stage, staying: stay) }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let show = try Show(stage: stage, limpetctl: limpetctl, group: group)
            if stay {
                try show.stay()
                Self.waitForTheEnd()
            }
            try show.play()
        } catch {
            let log = stage.log
            // What failed because a signal took it away did not fail.
            guard stage.tearDown() else { Self.waitForTheEnd() }
            writeLine("limpet-echo demo: failed: \(error)", to: STDERR_FILENO)
            if !log.isEmpty {
                writeLine("What limpetd logged:\n\(log)", to: STDERR_FILENO)
            }
            throw ExitCode(1)
        }
        guard stage.tearDown() else { Self.waitForTheEnd() }
        try group.syncShutdownGracefully()
    }

    /// To stop a show that stays is its regular end; to stop the other cuts it short.
    private static func endShow(on signal: Int32, stage: Stage, staying: Bool) -> Never {
        writeLine("\nEnding what was started …", to: STDERR_FILENO)
        // The main thread may be ending the show by itself at this moment; then it also ends the process.
        guard stage.tearDown() else { waitForTheEnd() }
        Glibc.exit(staying ? 0 : 128 + signal)
    }

    /// For a thread that has nothing left to do while another one ends the process.
    private static func waitForTheEnd() -> Never {
        while true { pause() }
    }
}

/// Runs the body on a new thread that nobody joins.
private func spawnThread(_ body: @escaping @Sendable () -> Void) {
    let box = Unmanaged.passRetained(ThreadBody(body))
    var thread = pthread_t()
    let code = pthread_create(
        &thread, nil,
        { argument in
            Unmanaged<ThreadBody>.fromOpaque(argument!).takeRetainedValue().body()
            return nil
        }, box.toOpaque())
    precondition(code == 0, "pthread_create: \(code)")
    pthread_detach(thread)
}

private final class ThreadBody {
    let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) {
        self.body = body
    }
}
