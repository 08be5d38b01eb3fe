import Configuration
import Control
import Forwarding

/// Listeners that operators pause.
extension Controller {
    func set(_ request: ListenerRequest, by caller: Caller) throws(ControlError) -> ListenersReport {
        guard isAccepting else {
            throw ControlError(.busy, "limpetd is shutting down: it does not listen any more")
        }
        let (word, admission): (String, Admission) =
            switch request.action {
            case .pause: ("pause", .paused)
            case .refuse: ("pause --refuse", .refusing)
            case .resume: ("resume", .open)
            }
        for listener in listenerSet.listeners where request.names.contains(listener.name) {
            audit("\(word) \(listener.name)", caller)
            region.setAdmission(admission, of: listener.slot)
            events.post(
                ControlEvent(
                    .listener, service: topology.services[listener.service].configuration.name,
                    listener: listener.name, new: admission.told, uid: caller.uid))
        }
        workers.postToAll(.reviewListeners)
        return ListenersReport(listeners: listeners().filter { request.names.contains($0.name) })
    }
}

extension Admission {
    /// As events tell it.
    fileprivate var told: String {
        switch self {
        case .open: "resumed"
        case .paused: "paused"
        case .refusing: "refusing"
        }
    }
}
