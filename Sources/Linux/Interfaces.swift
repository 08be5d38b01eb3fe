public import Addressing
import Glibc

/// Names and indices of network interfaces. Each question costs a few system calls; workers do not ask.
extension Zone {
    /// The index of the interface, if need be asked for by its name; nil: there is no such interface now.
    public var interface: UInt32? {
        if let index { return index }
        let index = if_nametoindex(description)
        return index == 0 ? nil : index
    }

    /// With the name of the interface in the place of its index, where it has one.
    public var named: Zone {
        guard let index, index != 0 else { return self }
        var name = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
        guard if_indextoname(index, &name) != nil else { return self }
        return Zone(String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)) ?? self
    }
}

extension Endpoint {
    /// As people are to see it: with the name of the interface where it has a zone.
    public var named: Endpoint {
        zone.isNone ? self : Endpoint(address: address, port: port, zone: zone.named)
    }
}
