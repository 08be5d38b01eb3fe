import Addressing
import Backends
import CLayout
import Configuration
import Control
import Forwarding
import Linux
import Logging
import NIOCore

/// Changes that an operator asks for. Each is logged with who asked.
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
        case .backend(let name):
            guard let slot = topology.anySlot(service: name.service, backend: name.backend) else {
                throw ControlError(.noSuchObject, "\(name): no such backend")
            }
            matches = { Int($0.record.backend) == slot }
            text = "--backend \(name)"
        case .service(let name):
            guard let index = topology.anyService(name) else {
                throw ControlError(.noSuchObject, "\(name): no such service")
            }
            matches = { Int($0.record.service) == index }
            text = "--service \(name)"
        case .client(let prefix):
            matches = { snapshot in snapshot.client.map { prefix.contains($0.address) } ?? false }
            text = "--client \(prefix)"
        }
        var found: [ConnectionSnapshot] = []
        forEachConnection { if matches($0) { found.append($0) } }
        post(found, request.reset ? Forwarding.CloseMode.reset : .orderly, .operator)
        audit(
            "close \(text)" + (request.reset ? " --reset" : "")
                + ": \(found.count == 1 ? "1 connection" : "\(found.count) connections")", caller)
        events.post(
            ControlEvent(
                .close, cause: text + (request.reset ? " --reset" : ""), count: found.count, uid: caller.uid))
        guard case .ids(let ids) = request.selector else { return CloseReport(closed: found.count) }
        let met = Set(found.map(\.id))
        return CloseReport(closed: found.count, missing: ids.filter { !met.contains($0.value) })
    }

    func shutdown(_ request: ShutdownRequest, by caller: Caller) throws(ControlError) {
        audit("shutdown" + (request.drain.map { " --drain \(seconds($0))" } ?? ""), caller)
        beginShutdown(drain: request.drain ?? self.request.configuration.shutdownDrain, by: caller)
    }

    // MARK: Parts

    func find(_ name: BackendName) throws(ControlError) -> Int {
        guard let slot = topology.slot(service: name.service, backend: name.backend) else {
            throw ControlError(.noSuchObject, "\(name): no such backend")
        }
        return slot
    }

    func post(_ connections: [ConnectionSnapshot], _ mode: Forwarding.CloseMode, _ reason: EndReason) {
        for worker in 0..<workers.count {
            let commands = connections.filter { $0.worker == worker }.map {
                WorkerCommand.close(slot: $0.slot, generation: $0.generation, mode, reason)
            }
            if !commands.isEmpty { workers.post(commands, to: worker) }
        }
    }

    /// Closes connections whose moment is quiet, each only if it is that yet when its worker comes to it.
    /// - Parameter insisting: those that are closed anyhow.
    func postQuietly(_ connections: [ConnectionSnapshot], _ reason: EndReason, insisting: (ConnectionSnapshot) -> Bool)
    {
        var commands = [[WorkerCommand]](repeating: [], count: workers.count)
        for connection in connections {
            commands[connection.worker].append(
                insisting(connection)
                    ? .close(slot: connection.slot, generation: connection.generation, .orderly, reason)
                    : .closeIfStill(
                        slot: connection.slot, generation: connection.generation, active: connection.record.active,
                        reason))
        }
        for worker in commands.indices where !commands[worker].isEmpty { workers.post(commands[worker], to: worker) }
    }

    /// As a duration is written on a command line: whole seconds where it can be, else milliseconds.
    func seconds(_ duration: Duration) -> String {
        let milliseconds = duration.nanoseconds / 1_000_000
        return milliseconds % 1000 == 0 ? "\(milliseconds / 1000)s" : "\(milliseconds)ms"
    }

    func audit(_ command: String, _ caller: Caller) {
        log.notice(
            "control: \(command)",
            metadata: ["uid": "\(caller.uid)", "pid": "\(caller.pid)"])
    }
}
