import Addressing
import CLayout
import Control
import Forwarding
import Linux

/// Connections that an operator closes.
extension Controller {
    /// So many numbers of connections are written into one line of the log.
    private static let auditedIDs = 16

    func close(_ request: CloseRequest, by caller: Caller) throws(ControlError) -> CloseReport {
        let matches: (ConnectionSnapshot) -> Bool
        let text: String
        switch request.selector {
        case .ids(let ids):
            let wanted = Set(ids.map(\.value))
            matches = { wanted.contains($0.id) }
            // As many as a line can hold; a request can hold thousands.
            text =
                ids.prefix(Controller.auditedIDs).map { "\($0)" }.joined(separator: " ")
                + (ids.count > Controller.auditedIDs ? " and \(ids.count - Controller.auditedIDs) more" : "")
        case .matching(let selector):
            matches = try matcher(selector)
            text = "\(selector)"
        }
        var found: [ConnectionSnapshot] = []
        forEachConnection { if matches($0) { found.append($0) } }
        if found.count > 1 && !request.force {
            throw ControlError(.needsForce, "\(found.count) connections would be closed")
        }
        post(found, request.reset ? Forwarding.CloseMode.reset : .orderly, .operator)
        let command = text + (request.reset ? " --reset" : "")
        audit(
            "close \(command): \(found.count == 1 ? "1 connection" : "\(found.count) connections")", caller)
        if !found.isEmpty {
            events.post(ControlEvent(.close, cause: command, count: found.count, uid: caller.uid))
        }
        guard case .ids(let ids) = request.selector else { return CloseReport(closed: found.count) }
        let met = Set(found.map(\.id))
        return CloseReport(closed: found.count, missing: ids.filter { !met.contains($0.value) })
    }

    /// What records match, told without making rows of them: there may be hundreds of thousands.
    private func matcher(_ selector: ConnectionSelector) throws(ControlError) -> (ConnectionSnapshot) -> Bool {
        var service: Int?
        var backend: Int?
        if let name = selector.service {
            service = topology.anyService(name)
            if service == nil { throw ControlError(.noSuchObject, "\(name): no such service") }
        }
        if let name = selector.backend {
            backend = topology.anySlot(service: name.service, backend: name.backend)
            if backend == nil { throw ControlError(.noSuchObject, "\(name): no such backend") }
        }
        let now = Clock.now()
        let before = { (age: Duration?) in age.map { now - min(now, $0.nanoseconds) } ?? .max }
        let (opened, active) = (before(selector.older), before(selector.idle))
        return { [self, service, backend] snapshot in
            let record = snapshot.record
            if let service, Int(record.service) != service { return false }
            if let backend, Int(record.backend) != backend { return false }
            if record.opened > opened || record.active > active { return false }
            if let state = selector.state, wire(record.state) != state { return false }
            guard let prefix = selector.client else { return true }
            return snapshot.client.map { prefix.contains($0.address.unmapped) } ?? false
        }
    }
}
