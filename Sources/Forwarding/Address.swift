public import Addressing
public import CLayout
import Linux

extension limpet_address {
    /// The endpoint in it; nil where none was stored.
    public var endpoint: Endpoint? {
        var copy = self
        switch family {
        case 4:
            return Endpoint(address: IPAddress(v4: UInt32(truncatingIfNeeded: limpet_address_low(&copy))), port: port)
        case 6:
            return Endpoint(
                address: IPAddress(v6High: limpet_address_high(&copy), low: limpet_address_low(&copy)), port: port,
                zone: Zone(index: scope))
        default:
            return nil
        }
    }

    /// nil: none.
    @inline(__always)
    public mutating func set(_ endpoint: Endpoint?) {
        guard let endpoint else {
            self = limpet_address()
            return
        }
        limpet_address_set(
            &self, endpoint.address.family.rawValue, endpoint.address.high, endpoint.address.low, endpoint.port)
        if !endpoint.zone.isNone { scope = endpoint.zone.interface ?? 0 }
    }
}
