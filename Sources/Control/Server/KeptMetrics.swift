internal import Linux
internal import NIOCore

/// The metrics as they were made last. Where that took long, as with thousands of backends, whoever asks again soon is given
/// the same, so that asking over and over costs neither the loop nor the memory. Lives on the control event loop.
final class KeptMetrics {
    /// What is made faster than this is always made anew.
    private static let short: UInt64 = 50_000_000
    /// For so many times as long as they took they are kept …
    private static let factor: UInt64 = 9
    /// … and never for longer than this.
    private static let longest: UInt64 = 5_000_000_000

    private let plane: any ControlPlane
    private var kept: (body: ByteBuffer, until: UInt64)?

    init(_ plane: any ControlPlane) {
        self.plane = plane
    }

    func body() -> ByteBuffer {
        let begin = Clock.now()
        if let kept, begin < kept.until { return kept.body }
        let body = ByteBuffer(string: plane.metrics())
        let time = Clock.now() - begin
        kept =
            time < KeptMetrics.short ? nil : (body, begin + time + min(time * KeptMetrics.factor, KeptMetrics.longest))
        return body
    }
}
