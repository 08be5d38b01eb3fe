import Addressing
import CLayout
import Configuration
import Control
import Forwarding
import Linux
import Logging

/// The listening socket of the metrics. It is named in the region, so that it outlives an engine and an upgrade: those who
/// ask meanwhile wait in the kernel's queue.
enum WebListener {
    /// Where it listens; nil: nowhere.
    static func address(in region: SharedRegion) -> Endpoint? {
        descriptor(in: region).flatMap(StreamSocket.localEndpoint)
    }

    /// The socket that is named; nil: none. A version that did not know of it may have closed it, and its number may be
    /// another's by now: only a socket that listens is it.
    static func descriptor(in region: SharedRegion) -> Int32? {
        let named = region.continuity.pointee.metrics
        return named > 0 && StreamSocket.isListening(named) ? named : nil
    }

    static func bind(_ address: Endpoint) throws(StartError) -> Int32 {
        do throws(SystemError) {
            return try StreamSocket.listen(on: address, shared: false)
        } catch {
            let key = ConfigurationKeys.metrics.name
            let cure = ListenerSet.cure(error.errno, at: ListenerConfiguration(address), besides: [])
            throw StartError("\(key): \(error); \(cure)")
        }
    }

    /// Binds what a reload is to bring.
    /// - Parameter isDryRun: only whether it could be is wanted to know.
    /// - Returns: the socket, for ``name(_:in:)``; nil in a dry run.
    static func prepare(
        _ address: Endpoint, isDryRun: Bool, in region: SharedRegion
    ) throws(StartError) -> Int32? {
        if let own = self.address(in: region), own.collides(with: address) {
            throw StartError(
                "metrics: limpetd itself has this port of \(own) for them: take that out with one reload and put this in"
                    + " with another")
        }
        let socket = try bind(address)
        guard isDryRun else { return socket }
        Descriptor.close(socket)
        return nil
    }

    /// Puts a socket in the place of the one that is named, which is closed; nil: there is to be none.
    static func name(_ socket: Int32?, in region: SharedRegion) {
        let former = descriptor(in: region)
        limpet_order()
        region.continuity.pointee.metrics = socket ?? -1
        limpet_order()
        if let former { Descriptor.close(former) }
    }

    /// Whether the socket that is named is the one that a configuration wants. Where it leaves the port to the kernel, any
    /// will do.
    static func fits(_ wanted: Endpoint?, in region: SharedRegion) -> Bool {
        guard let wanted, let own = address(in: region) else { return wanted == nil && descriptor(in: region) == nil }
        return own.address == wanted.address && (wanted.port == 0 || own.port == wanted.port)
    }

    /// Whether the number is that of another socket that listens: a version that did not know of the metrics' own has
    /// closed it, and the number was given again.
    private static func isAnothers(in region: SharedRegion) -> Bool {
        let named = region.continuity.pointee.metrics
        if named == region.continuity.pointee.control { return true }
        for slot in 0..<region.listenerSlots {
            let listener = region.listener(slot)
            if listener.pointee.used == UInt8(LIMPET_SLOT_FREE) { break }
            for worker in 0..<Int32(region.workerCount)
            where limpet_listener_descriptor(listener, worker).pointee == named { return true }
        }
        return false
    }

    /// Brings the socket in line with the configuration that counts, at the start of an engine: a death may have come
    /// between the two. Metrics that cannot be served are no reason to serve nobody.
    static func settle(_ wanted: Endpoint?, in region: SharedRegion, log: Logger) {
        if isAnothers(in: region) { region.continuity.pointee.metrics = -1 }
        guard !fits(wanted, in: region) else { return }
        name(nil, in: region)
        guard let wanted else { return }
        do throws(StartError) {
            name(try bind(wanted), in: region)
        } catch {
            log.error("\(error); nobody is served there: take the key out with one reload and put it in with another")
        }
    }
}

extension DaemonConfiguration {
    /// Descriptors that the metrics over HTTP may take.
    var webDescriptors: Int { metrics == nil ? 0 : WebLimits.mostClients + 4 }
}
