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
}
