internal import CContinuity

/// A point at which a test may let the process die, see inject.h. Nothing in release builds.
/// - Parameter point: LIMPET_AT_x.
@inline(__always)
public func inject(_ point: Int) {
    #if LIMPET_INJECT
        limpet_inject_here(UInt32(point))
    #endif
}
