import ArgumentParser
import Control

struct Events: ActingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Follow what happens, one line for each event, until limpetd ends.",
        discussion: "Each change of a backend's health is told with its cause, from now on.")

    @OptionGroup var options: GlobalOptions

    func act(_ client: ControlClient, _ output: Output) throws {
        let events = try client.events()
        while true {
            let (reply, line) = try events.next()
            let event = reply.body
            switch output.form {
            case .json:
                output.write(line)
                output.write("\n")
            case .plain:
                output.plain([
                    reply.time.description, event.event.rawValue, event.service ?? "", event.backend ?? "",
                    event.old ?? "", event.new ?? "", event.cause ?? "", event.count.map { String($0) } ?? "",
                ])
            case .table: output.line("\(reply.time) \(Events.sentence(event))")
            }
            output.flush()
        }
    }

    static func sentence(_ event: ControlEvent) -> String {
        switch event.event {
        case .health:
            "\(event.service ?? "-")/\(event.backend ?? "-"): \(event.old ?? "-") -> \(event.new ?? "-")"
                + (event.cause.map { ": \($0)" } ?? "")
        case .missed: "\(event.count ?? 0) events were missed"
        }
    }
}
