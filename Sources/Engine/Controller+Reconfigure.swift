import Forwarding
import Linux
import NIOCore

/// How the workers learn of another table: one way for a reload and for a weight that an operator sets.
extension Controller {
    /// Makes the topology anew, of the configuration that is active and the weights that are in force, and hands it to the
    /// workers. It holds from their next connection on.
    /// - Parameters:
    ///   - tables: nil: those that are in force.
    ///   - listeners: nil: the workers keep theirs.
    ///   - done: called on the event loop once every worker goes by it.
    func rebuild(
        tables: SlotTables? = nil, listeners: ListenerSet? = nil, done: @escaping @Sendable () -> Void = {}
    ) throws(StartError) {
        topology = try Topology(
            request.configuration, tables ?? topology.tables, after: topology, weight: region.effectiveWeight)
        incidents.topology = topology
        if let listeners { listenerSet = listeners }
        workers.configure(
            table: topology.forwardingTable(),
            listeners: listeners.map { set in (0..<workers.count).map(set.forWorker) },
            acknowledged: { [eventLoop] in eventLoop.execute(done) })
    }
}
