import ArgumentParser
import Control

struct Events: ActingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Follow what happens, one line for each event, until limpetd ends.",
        discussion: """
            limpetd keeps the last 1024 events, also when its engine dies or is upgraded. Each event has a cursor, with \
            which a reader goes on where it was; where that is too old, the event "missed" says how many are left out.
            """)

    @OptionGroup var options: GlobalOptions

    @Option(
        help: ArgumentHelp(
            "Begin after the event with this cursor; the word start begins with the oldest that is kept "
                + "(default: from now on).", valueName: "cursor"))
    var since: String?

    @Flag(help: "End after what there is, instead of waiting for more.")
    var noWait = false

    func act(_ client: ControlClient, _ output: Output) throws {
        let events = try client.events(since: since, waits: !noWait)
        while let (reply, line) = try events.next() {
            let event = reply.body
            switch output.form {
            case .json:
                output.write(line)
                output.write("\n")
            case .plain:
                output.plain([
                    reply.time.description, event.event.rawValue, event.service ?? "", event.backend ?? "",
                    event.old ?? "", event.new ?? "", event.cause ?? "", event.count.map { String($0) } ?? "",
                    event.cursor ?? "", event.listener ?? "", event.uid.map { String($0) } ?? "",
                ])
            case .table: output.line("\(reply.time) \(EventText.sentence(event))")
            }
            output.flush()
        }
    }
}
