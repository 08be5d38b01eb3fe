import Control

/// An event in words.
enum EventText {
    static func sentence(_ event: ControlEvent) -> String {
        let subject = subject(event).map { "\($0): " } ?? ""
        let cause = event.cause.map { ": \($0)" } ?? ""
        let asker = event.uid.map { ", asked for by uid \($0)" } ?? ""
        let new = event.new ?? "-"
        let change = "\(event.old ?? "-") -> \(new)"
        switch event.event {
        case .start: return "limpetd \(new) has started"
        case .health, .service: return "\(subject)\(change)\(cause)"
        case .intent: return "\(subject)intent \(change)\(cause)\(asker)"
        case .weight: return "\(subject)weight \(change)\(cause)\(asker)"
        case .drain: return "\(subject)drain \(new)\(left(event))\(cause)\(asker)"
        case .shed: return "\(subject)closing at a pace, \(new)\(counted(event))\(cause)\(asker)"
        case .close: return "\(Units.connections(event.count ?? 0)) told to close\(cause)\(asker)"
        case .listener: return "\(subject)\(new)\(cause)\(asker)"
        case .reload:
            let changes = event.count.map { $0 == 1 ? ", 1 change" : ", \($0) changes" } ?? ""
            return "reload \(new)\(changes)\(cause)\(asker)"
        case .limit:
            let times = event.count.map { $0 > 1 ? " (\($0) times)" : "" } ?? ""
            return "\(subject)limit reached, \(new)\(times)\(cause)"
        case .crash:
            return "an engine has died\(cause); engine \(new) goes on with \(Units.connections(event.count ?? 0))"
        case .upgrade: return "upgrade \(change)\(counted(event))\(cause)"
        case .name:
            let cause = event.cause ?? "a name of backends"
            return event.count == nil ? cause : "\(cause): \(change)"
        case .refused:
            return "refused\(event.uid.map { ", asked for by uid \($0)" } ?? "")\(cause)"
        case .log: return "log level \(change)\(asker)"
        case .shutdown: return "limpetd is ending\(counted(event))\(cause)\(asker)"
        case .missed: return "\(event.count.map { "\($0)" } ?? "an unknown number of") events were missed"
        }
    }

    private static func subject(_ event: ControlEvent) -> String? {
        if let service = event.service { return event.backend.map { "\(service)/\($0)" } ?? service }
        return event.listener
    }

    private static func counted(_ event: ControlEvent) -> String {
        event.count.map { ", \(Units.connections($0))" } ?? ""
    }

    private static func left(_ event: ControlEvent) -> String {
        event.count.map { ", \(Units.connections($0)) left" } ?? ""
    }
}
