import Addressing
import ArgumentParser
import Glibc
import Linux

/// `limpet-checker`: clients and backends that keep account of every byte between them. A tool of the tests; not installed.
@main
struct LimpetChecker: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limpet-checker",
        abstract: "Checks a forwarder byte by byte, end by end.",
        discussion: """
            Plays the backends and the clients of a forwarder. Prints `listening ADDR:PORT...` once the backends listen, \
            `ready` once every standing connection works, and at the end one line of JSON.

            Reads commands from standard input, one on a line:
              target ADDR:PORT...   where clients connect to from now on; the first one starts them
              churn N               connections per second that come and go, from now on
              mark                  prints the longest gap in microseconds since the last mark, and the messages so far
              stop                  everything comes to its end; so does the end of the input

            Exit status: 0 everything arrived, once, and ended as it had been ended; 1 something did not; 2 usage.
            """)

    @Option(
        help: ArgumentHelp("Where a backend listens, or unix:PATH; may be repeated.", valueName: "addr:port"))
    var listen = ["127.0.0.1:0"]

    @Option(help: "Connections that ask and answer.")
    var talk = 20

    @Option(help: "Connections that carry bytes both ways at --bulk-rate.")
    var bulk = 4

    @Option(help: "Connections whose reader is slower than their sender.")
    var slow = 4

    @Option(help: "Connections per second that come and go.")
    var churn = 50

    @Option(help: "Questions per second over all connections that ask and answer.")
    var rate = 1000

    @Option(help: "Bytes per second and direction.")
    var bulkRate = 4 << 20

    @Option(help: "The PROXY header that the backends expect: none, v1 or v2.")
    var proxy = ProxyForm.none

    @Option(help: "The PROXY header that the clients begin with: none, v1 or v2.")
    var header = ProxyForm.none

    @Option(help: "What the random choices follow from.")
    var seed: UInt64 = 1

    @Option(help: "Seconds after which it stops by itself; 0: never.")
    var duration = 0

    @Option(help: "Seconds without any progress after which it gives up waiting for the end.")
    var patience = 20

    static func main() {
        do {
            try parseAsRoot().runThrowing()
        } catch {
            let status = exitCode(for: error)
            if status == .success { exit(withError: error) }
            Output.error(fullMessage(for: error))
            Glibc.exit(status == .validationFailure ? 2 : 1)
        }
    }

    func run() throws {
        signal(SIGPIPE, SIG_IGN)
        _ = Descriptor.raiseLimit()
        var plan = Plan()
        (plan.talk, plan.bulk, plan.slow) = (talk, bulk, slow)
        (plan.bulkRate, plan.seed, plan.proxy, plan.header) = (bulkRate, seed, proxy, header)
        plan.hasUnixSockets = listen.contains { $0.hasPrefix(UnixPath.prefix) }
        let board = Board(plan: plan, churn: churn)
        let listeners = try listen.map { try Target($0).listen() }
        let places = zip(listen, listeners).map { StreamSocket.localEndpoint($1)?.description ?? $0 }
        Output.line("listening " + places.joined(separator: " "))
        let session = Session(board, duration: duration, patience: patience)
        let verdict = try session.run(listeners: listeners, rate: rate)
        Output.line(verdict.line)
        if verdict.faults.total != 0 { Glibc.exit(1) }
    }
}

extension ParsableCommand {
    /// `run()` of a parsed command, whose concrete type the parser hides.
    fileprivate func runThrowing() throws {
        var command = self
        try command.run()
    }
}

extension ProxyForm: ExpressibleByArgument {}
