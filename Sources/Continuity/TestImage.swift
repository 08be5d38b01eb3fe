internal import CContinuity

/// What a copy of a debug build was told about itself, see test_image.h. Nothing in a release build.
public enum TestImage {
    /// The value of a key; nil: nothing was said.
    public static func value(_ key: String) -> String? {
        #if DEBUG
            withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { buffer in
                guard limpet_test_image(key, buffer.baseAddress!, UInt32(buffer.count)) == 1 else { return nil }
                return String(cString: buffer.baseAddress!)
            }
        #else
            nil
        #endif
    }
}
