import ArgumentParser
import Control

struct Pause: ActingVerb {
    static let configuration = CommandConfiguration(
        abstract: "Take no clients in at a listening address.",
        usage: "limpetctl pause LISTENER [--refuse]",
        discussion: """
            Clients wait in the kernel's queue until resume, or until they lose patience. Connections that exist go on. It \
            holds over reloads, crashes and upgrades, until resume or a restart.
            """)

    @OptionGroup var options: GlobalOptions

    @Argument(
        help: "ADDRESS:PORT as limpetctl listeners shows it, or a service: all of its addresses.",
        completion: Completions.listener)
    var listener: String

    @Flag(help: "Reset clients at once instead of letting them wait.")
    var refuse = false

    func act(_ client: ControlClient, _ output: Output) throws {
        try output.listeners(try client.pause(listener, refuse: refuse))
    }
}

struct Resume: ActingVerb {
    static let configuration = CommandConfiguration(abstract: "Let a listening address that was paused accept again.")

    @OptionGroup var options: GlobalOptions

    @Argument(
        help: "ADDRESS:PORT as limpetctl listeners shows it, or a service: all of its addresses.",
        completion: Completions.listener)
    var listener: String

    func act(_ client: ControlClient, _ output: Output) throws {
        try output.listeners(try client.resume(listener))
    }
}

extension Output {
    /// What became of listeners: their rows, or a line for each.
    fileprivate func listeners(_ reply: Reply<ListenersReport>) throws(ControlError) {
        switch form {
        case .json: try json(reply)
        case .plain: for row in reply.body.listeners { plain(row.plainFields) }
        case .table: for row in reply.body.listeners { line("\(row.service) \(row.name): \(row.state.rawValue)") }
        }
    }
}
