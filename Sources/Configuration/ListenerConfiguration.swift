public import Addressing

/// One place where clients arrive, and how its sockets are made.
public struct ListenerConfiguration: Sendable, Hashable {
    /// Listeners that one daemon takes, over all services.
    public static let most = 1024

    public var address: ListenerAddress
    /// The network interface by which its clients come (SO_BINDTODEVICE), 1 to 15 characters; nil: any.
    public var device: String?
    /// Whether it may be bound before this machine has the address (IP_FREEBIND).
    public var isFree = false
    /// Of `[::]`: whether it takes IPv6 clients alone. Of every other address nothing else can be.
    public var isV6Only = true
    /// Whether it takes clients that are on their way to any address and that a TPROXY rule sends here (IP_TRANSPARENT).
    public var isIntercepting = false
    /// Who may come by it; whoever comes has to be let in by the service, too.
    public var access = AccessConfiguration()

    /// Of a Unix socket: the permission bits of its file, and whom it belongs to; nil: the daemon's own user and group.
    public var mode = ListenerConfiguration.ordinaryMode
    public var owner: String?
    public var group: String?

    static let ordinaryMode: UInt32 = 0o660

    public init(_ address: ListenerAddress) {
        self.address = address
    }

    public init(_ endpoint: Endpoint) {
        address = .endpoint(endpoint)
    }

    /// What tells it from the other listeners, and what it is called: its address and, where it has one, its device.
    public var name: String { address.name(on: device) }

    /// What its sockets were made with and cannot change, as a text; another text: other sockets.
    public var binding: String { isV6Only ? "" : "v6only=false" }

    /// Whether two listeners would ask for the same connections, so that one keeps the other from being bound: the same port
    /// of the same address, or of one address and all of them. Port 0 is nobody's, and two devices do not meet.
    ///
    /// SO_REUSEPORT would let both in, which is why the daemon's probe binds without it; then, as tried on Linux 6.x, a port
    /// of `0.0.0.0` and the same port of any IPv4 address collide in either order, and the same in IPv6. The families meet
    /// only where `[::]` takes IPv4 clients, too.
    public func collides(with other: ListenerConfiguration) -> Bool {
        if let device, let theirs = other.device, device != theirs { return false }
        guard let own = address.endpoint, let theirs = other.address.endpoint else { return address == other.address }
        if own.collides(with: theirs) { return true }
        guard own.port == theirs.port, own.port != 0 else { return false }
        return !isV6Only && theirs.address.family == .v4 || !other.isV6Only && own.address.family == .v4
    }

    /// Whether a connection to `target` would arrive here, as far as that can be seen from the configuration.
    func isReached(by target: Endpoint) -> Bool {
        guard let own = address.endpoint, target.port == own.port, target.port != 0 else { return false }
        return target.address == own.address && target.zone == own.zone
            || (own.address.isUnspecified && target.address.isLoopback
                && (own.address.family == target.address.family || !isV6Only))
    }
}

extension Endpoint {
    /// The same of two addresses alone: see ``ListenerConfiguration/collides(with:)``.
    public func collides(with other: Endpoint) -> Bool {
        guard port == other.port, port != 0, address.family == other.address.family else { return false }
        return address == other.address && zone == other.zone || address.isUnspecified
            || other.address.isUnspecified
    }
}

extension ListenerConfiguration {
    /// Everything that it is, in the order of the registry; what is as it is by default stays out.
    var settings: [Setting] {
        var settings = [Setting(ConfigurationKeys.listenerAddress, address.description)]
        if let device { settings.append(Setting(ConfigurationKeys.device, device)) }
        if isFree { settings.append(Setting(ConfigurationKeys.freebind, raw: "\(isFree)")) }
        if mode != ListenerConfiguration.ordinaryMode {
            settings.append(Setting(ConfigurationKeys.mode, PermissionsText.render(mode)))
        }
        if let owner { settings.append(Setting(ConfigurationKeys.listenerOwner, owner)) }
        if let group { settings.append(Setting(ConfigurationKeys.listenerGroup, group)) }
        if !isV6Only { settings.append(Setting(ConfigurationKeys.v6only, raw: "\(isV6Only)")) }
        if isIntercepting { settings.append(Setting(ConfigurationKeys.intercept, raw: "\(isIntercepting)")) }
        return settings + accessSettings
    }

    /// As `listen` takes it: a string where the address is all there is to say, else an inline table.
    var text: String {
        let settings = settings
        guard settings.count > 1 else { return TOMLText.quote(address.description) }
        let fields = settings.map { "\($0.key.name) = \($0.isText ? TOMLText.quote($0.value) : $0.value)" }
        return "{ \(fields.joined(separator: ", ")) }"
    }

    /// All but the address, as `--listen` takes it: `device=eth0`, `freebind`; of an access list how long it is.
    public var options: [String] {
        settings.dropFirst().map { setting in
            switch setting.key {
            case ConfigurationKeys.listenerAllow: "\(setting.key.name)=\(access.allow.texts.count)"
            case ConfigurationKeys.listenerDeny: "\(setting.key.name)=\(access.deny.texts.count)"
            default: setting.value == "true" ? setting.key.name : "\(setting.key.name)=\(setting.value)"
            }
        }
    }

    /// As `--listen` takes it: `0.0.0.0:80,device=eth0`.
    var specification: String { ([address.description] + options).joined(separator: ",") }
}
