import Addressing
import CLayout
import Configuration
import Forwarding
import Linux

/// How listeners get their sockets: at the start, and in a reload.
extension ListenerSet {
    /// A listener that was bound, and what its slot was used for before.
    struct Bound: Sendable {
        let slot: Int
        fileprivate let former: UInt8
        /// Whether it takes the place of one that listens until now: it does not listen yet.
        fileprivate let replaces: Bool
    }

    /// Binds what a configuration adds, or nothing, and names it in the region.
    /// - Parameters:
    ///   - services: of that configuration.
    ///   - own: where this daemon listens already.
    ///   - owner: whom files belong to where the configuration does not say; nil: the user that this process is.
    ///   - inherited: sockets that take the place of others; those that were taken are gone from it.
    @discardableResult
    static func bind(
        _ opened: [SlotAssignment.OpenedListener], of services: [ServiceConfiguration], in region: SharedRegion,
        besides own: [ListenerConfiguration] = [], inherited: inout InheritedSockets,
        owner: (user: UInt32, group: UInt32)? = nil
    ) throws(StartError) -> [Bound] {
        var done: [Bound] = []
        for listener in opened {
            done.append(
                Bound(
                    slot: listener.slot, former: region.listener(listener.slot).pointee.used,
                    replaces: listener.former != nil))
            do throws(StartError) {
                let options = SocketOptions(services[listener.service])
                if let socket = try inherited.take(for: listener.configuration) {
                    try share(socket, with: listener, options: options, in: region)
                } else if case .unix(let path) = listener.configuration.address {
                    try bind(path, listener, owner, in: region)
                } else {
                    try bind(listener, options: options, in: region, besides: own)
                }
            } catch {
                unbind(done, in: region)
                throw error
            }
        }
        return done
    }

    /// Gives the sockets that root has bound to the user that the daemon will be. The kernel lets only sockets of one user
    /// share a port, and what a reload binds is that user's. Where it cannot be done, such a reload is refused.
    func give(to owner: (user: UInt32, group: UInt32)) {
        for listener in listeners where !region.isInherited(listener: listener.slot) {
            for descriptor in listener.descriptors { StreamSocket.give(descriptor, to: owner.user, owner.group) }
        }
    }

    /// Takes a ``bind(_:of:in:besides:inherited:)`` back.
    static func unbind(_ bound: [Bound], in region: SharedRegion) {
        for listener in bound {
            region.removeFile(ofListener: listener.slot)
            close(listener.slot, in: region)
            limpet_publish8(&region.listener(listener.slot).pointee.used, listener.former)
        }
    }

    /// Whether what a configuration adds could be bound, without listening there.
    static func checkBinding(
        _ opened: [SlotAssignment.OpenedListener], besides own: [ListenerConfiguration]
    ) throws(StartError) {
        for listener in opened {
            if case .unix(let path) = listener.configuration.address {
                _ = try fileOwner(listener.configuration, nil)
                do throws(SystemError) { try UnixListener.check(path) } catch {
                    throw StartError("\(error); \(cure(error.errno, at: listener.configuration, besides: own))")
                }
                continue
            }
            guard let endpoint = listener.configuration.address.endpoint else {
                var none = InheritedSockets()
                _ = try none.take(for: listener.configuration)
                continue
            }
            let isOurs = own.contains { $0.collides(with: listener.configuration) }
            do throws(SystemError) {
                Descriptor.close(
                    try StreamSocket.reserve(
                        endpoint, shared: isOurs,
                        binding: BindingOptions(listener.configuration, slot: listener.slot)))
            } catch {
                throw StartError("\(error); \(cure(error.errno, at: listener.configuration, besides: own))")
            }
        }
    }

    /// Closes a listener's sockets, whoever waits there. Its slot stays what it is.
    static func close(_ slot: Int, in region: SharedRegion) {
        let state = region.listener(slot)
        guard state.pointee.used != UInt8(LIMPET_SLOT_FREE) else { return }
        for worker in 0..<Int32(region.workerCount) {
            let named = limpet_listener_descriptor(state, worker)
            let descriptor = named.pointee
            guard descriptor >= 0 else { continue }
            // Somebody else may hold the same socket open: closing alone would leave it in the set.
            let poller = region.worker(Int(worker)).pointee.poller
            if poller > 0 { Poller.remove(descriptor, from: poller) }
            named.pointee = -1
            limpet_order()
            Descriptor.close(descriptor)
        }
    }

    private static func bind(
        _ listener: SlotAssignment.OpenedListener, options: SocketOptions, in region: SharedRegion,
        besides own: [ListenerConfiguration]
    ) throws(StartError) {
        guard let address = listener.configuration.address.endpoint else { return }
        let binding = BindingOptions(listener.configuration, slot: listener.slot)
        // This daemon listens there already, at this port of another address.
        let isOurs = own.contains { $0.collides(with: listener.configuration) }
        do throws(SystemError) {
            // With SO_REUSEPORT a second daemon of the same user would be let in and silently take half of the clients.
            let reserved = isOurs ? nil : try StreamSocket.reserve(address, shared: false, binding: binding)
            defer { if let reserved { Descriptor.close(reserved) } }
            let bound = reserved.flatMap { StreamSocket.localEndpoint($0) } ?? address
            begin(listener, at: .endpoint(bound), in: region)
            region.setBinding(binding, ofListener: listener.slot)
            let state = region.listener(listener.slot)
            limpet_publish8(&state.pointee.used, UInt8(LIMPET_SLOT_LIVE))
            for worker in 0..<Int32(region.workerCount) {
                limpet_listener_descriptor(state, worker).pointee = try StreamSocket.listen(
                    on: bound, shared: true, options: options, binding: binding, listens: listener.former == nil)
            }
        } catch {
            throw StartError("\(error); \(cure(error.errno, at: listener.configuration, besides: own))")
        }
    }

    /// Makes a Unix socket, one for all workers: there is no SO_REUSEPORT for these.
    private static func bind(
        _ path: UnixPath, _ listener: SlotAssignment.OpenedListener, _ owner: (user: UInt32, group: UInt32)?,
        in region: SharedRegion
    ) throws(StartError) {
        let fileOwner = try fileOwner(listener.configuration, owner)
        do throws(SystemError) {
            let socket = try UnixListener.open(path, fileOwner)
            begin(listener, at: .unix(path), in: region)
            if let file = socket.file { region.setFile(file, ofListener: listener.slot) }
            region.setBinding(BindingOptions(), isShared: true, ofListener: listener.slot)
            let state = region.listener(listener.slot)
            // At once: whatever comes now, it is closed.
            limpet_listener_descriptor(state, 0).pointee = socket.descriptor
            limpet_publish8(&state.pointee.used, UInt8(LIMPET_SLOT_LIVE))
            for (worker, share) in try shares(of: socket.descriptor, region.workerCount).enumerated() {
                limpet_listener_descriptor(state, Int32(worker)).pointee = share
            }
        } catch {
            throw StartError("\(error); \(cure(error.errno, at: listener.configuration, besides: []))")
        }
    }

    /// Whom the file of a listener is to belong to.
    private static func fileOwner(
        _ listener: ListenerConfiguration, _ owner: (user: UInt32, group: UInt32)?
    ) throws(StartError) -> UnixListener.Owner {
        var user = owner?.user
        var group = owner?.group
        if let name = listener.owner {
            guard let account = Account.named(name) else {
                throw StartError(
                    "listen \(listener.name): user \"\(name)\" does not exist; make it, or name another owner")
            }
            user = account.uid
        }
        if let name = listener.group {
            guard let number = Account.group(named: name) else {
                throw StartError("listen \(listener.name): group \"\(name)\" does not exist; make it, or name another")
            }
            group = number
        }
        return UnixListener.Owner(mode: listener.mode, user: user, group: group)
    }

    /// Gives a listener a socket that is there already, each worker a descriptor of its own.
    private static func share(
        _ socket: InheritedSockets.Socket, with listener: SlotAssignment.OpenedListener, options: SocketOptions,
        in region: SharedRegion
    ) throws(StartError) {
        try checkPassed(socket.address, listener.configuration)
        var binding = BindingOptions()
        binding.device = socket.device
        binding.isV6Only = socket.isV6Only
        if listener.configuration.isIntercepting { binding.interception = Int32(listener.slot) + 1 }
        begin(listener, at: socket.address, in: region)
        region.setBinding(binding, isShared: true, isInherited: true, ofListener: listener.slot)
        let state = region.listener(listener.slot)
        limpet_publish8(&state.pointee.used, UInt8(LIMPET_SLOT_LIVE))
        do throws(SystemError) {
            if binding.interception != 0, let endpoint = socket.address.endpoint,
                let failure = StreamSocket.setInterception(
                    socket.descriptor, family: SocketAddress(endpoint).family, binding.interception)
            {
                throw SystemError("intercept on \(socket.address)", failure)
            }
            for (worker, descriptor) in try shares(of: socket.descriptor, region.workerCount).enumerated() {
                limpet_listener_descriptor(state, Int32(worker)).pointee = descriptor
            }
        } catch {
            let cure = cure(error.errno, at: listener.configuration, besides: [])
            throw StartError("listen \(listener.configuration.name): \(error); \(cure)")
        }
        options.change(socket.descriptor)
    }

    /// What a file cannot tell: whether the listener's options fit the socket that was passed for it.
    static func checkPassed(
        _ address: ListenerAddress, _ listener: ListenerConfiguration
    ) throws(StartError) {
        guard case .unix = address, let option = listener.options.first else { return }
        throw StartError(
            "listen \(listener.name): what was passed is the Unix socket \(address), and"
                + " \(option.prefix { $0 != "=" }) is for IP addresses: leave it out")
    }

    /// Descriptors of one socket for all workers, itself the first. It never makes accept(2) wait, and an upgrade inherits
    /// it.
    static func shares(of descriptor: Int32, _ count: Int) throws(SystemError) -> [Int32] {
        try StreamSocket.prepareForSharing(descriptor)
        var shares = [descriptor]
        while shares.count < count {
            do throws(SystemError) {
                shares.append(try StreamSocket.share(descriptor))
            } catch {
                for share in shares.dropFirst() { Descriptor.close(share) }
                throw error
            }
        }
        return shares
    }

    /// Puts down what is known of a listener before it has sockets.
    /// - Parameter address: as it is bound: with the port that the kernel chose where the configuration says 0.
    private static func begin(
        _ listener: SlotAssignment.OpenedListener, at address: ListenerAddress, in region: SharedRegion
    ) {
        let state = region.listener(listener.slot)
        for worker in 0..<Int32(LIMPET_MAXIMUM_WORKERS) { limpet_listener_descriptor(state, worker).pointee = -1 }
        state.pointee.service = UInt16(listener.serviceSlot)
        region.setAdmission(.open, of: listener.slot)
        if case .unix(let path) = address {
            region.setPath(path, ofListener: listener.slot)
        } else {
            state.pointee.address.set(address.endpoint)
        }
    }
}
