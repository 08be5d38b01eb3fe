internal import CLayout
public import Forwarding
internal import Linux

/// Which capabilities the active configuration needs, as the engine writes it down, so that the keeper, which reads no
/// configuration, gives up the others before it starts an engine.
///
/// Numbers are those of capabilities(7). What is given up is not to be had again; so as long as an engine works that has a
/// capability, and could need it again after another reload, the keeper has it too.
public struct NeededCapabilities {
    private static let isKnown: UInt64 = 1 << 63

    private let word: UnsafeMutablePointer<UInt64>

    public init(_ region: SharedRegion) {
        word = region.process.pointer(to: \.capabilities)!
    }

    /// These, and no others. For the control event loop, or before there is an engine.
    public func note(_ capabilities: [Int32]) {
        limpet_publish64(word, NeededCapabilities.isKnown | NeededCapabilities.mask(capabilities))
    }

    /// These as well. Before a configuration counts that needs them. The same.
    public func noteMore(_ capabilities: [Int32]) {
        limpet_publish64(word, limpet_load64(word) | NeededCapabilities.mask(capabilities))
    }

    /// For the keeper, while there is no engine. A root that stays root keeps all. Where something is in the way, as the
    /// filter of a unit, it stays.
    func giveUpOthers() {
        let needed = limpet_load64(word)
        guard needed & NeededCapabilities.isKnown != 0, Account.effectiveUID != 0 else { return }
        _ = Privileges.reduce(to: (0..<63).filter { needed & 1 << UInt64($0) != 0 })
    }

    private static func mask(_ capabilities: [Int32]) -> UInt64 { capabilities.reduce(0) { $0 | 1 << UInt64($1) } }
}
