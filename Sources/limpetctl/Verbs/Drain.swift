import ArgumentParser
import Backends
import Control

struct Drain: ActingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Exclude a backend from new connections, at once.",
        usage: """
            limpetctl drain BACKEND [--grace D] [--rate N/s | --over D] [--order random|idle|oldest] [--deadline D] \
            [--wait [--timeout D]] [--force]
            """,
        discussion: """
            Connections that exist stay as long as they like, unless --rate, --over or --deadline says otherwise. Clients \
            that come anew go to the next backend of their order, and nobody else moves.
            """)

    @OptionGroup var options: GlobalOptions

    @Argument(
        help: "SERVICE/BACKEND, or the backend's name where only one service has it.",
        completion: Completions.backend)
    var backend: String

    @Option(
        help: ArgumentHelp("Close so many connections a second, each at a quiet moment.", valueName: "n/s"),
        transform: Drain.parseRate)
    var rate: Int?

    @Option(
        help: ArgumentHelp("Close its connections over this time, each at a quiet moment.", valueName: "duration"),
        transform: DurationOption.parse)
    var over: DurationOption?

    @Option(
        help: ArgumentHelp("With --rate or --over: close nothing before this time is over.", valueName: "duration"),
        transform: DurationOption.parse)
    var grace: DurationOption?

    @Option(
        help: ArgumentHelp("With --rate or --over, who goes first: random, idle or oldest.", valueName: "order"))
    var order: String?

    @Option(
        help: ArgumentHelp("Close what is left after this time.", valueName: "duration"),
        transform: DurationOption.parse)
    var deadline: DurationOption?

    @Flag(help: "Wait until no connection is left, and show how many are.")
    var wait = false

    @Option(
        help: ArgumentHelp("With --wait: give up after this time, with exit status 6.", valueName: "duration"),
        transform: DurationOption.parse)
    var timeout: DurationOption?

    @Flag(help: "Drain even the last eligible backend of its service, and close at the deadline whatever happens.")
    var force = false

    private static func parseRate(_ text: String) throws -> Int {
        guard let rate = RateText.parse(text), rate > 0 else {
            throw ValidationError("\(text): a rate is a whole number from 1 to 100000, such as 20/s")
        }
        return rate
    }

    private static let orders = Shedder.Order.allCases.map(\.rawValue)

    func validate() throws {
        if rate != nil && over != nil { throw ValidationError("--rate and --over exclude each other") }
        if rate == nil && over == nil {
            if grace != nil { throw ValidationError("--grace goes with --rate or --over") }
            if order != nil { throw ValidationError("--order goes with --rate or --over") }
        }
        if let order, !Drain.orders.contains(order) {
            throw ValidationError("--order: \(order) is not one of \(Drain.orders.joined(separator: ", "))")
        }
        if timeout != nil && !wait { throw ValidationError("--timeout goes with --wait") }
    }

    func act(_ client: ControlClient, _ output: Output) throws {
        let reply = try confirming(force: force) { force throws(ControlError) in
            try client.drain(
                backend, grace: grace?.duration, rate: rate, over: over?.duration,
                order: order.flatMap { Shedder.Order(rawValue: $0) }, deadline: deadline?.duration, force: force)
        }
        guard let row = reply.body.backends.first else { return }
        guard wait else {
            return try output.backend(reply) { row in
                let open = row.connections + row.connecting
                return open == 0
                    ? "\(row.fullName): drained" : "\(row.fullName): draining, \(Units.connections(open)) left"
            }
        }
        output.warnUnsaved(reply.body)
        try DrainWait(name: row.fullName, isOwn: true, limit: timeout).run(client, output)
    }
}
