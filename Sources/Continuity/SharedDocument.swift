internal import CLayout
public import Forwarding
public import Linux

/// A text that outlives the engine: which configuration is active and what each slot of the shared region means.
///
/// Two memfds take turns: a text is written into the one that does not count, then one store makes it count. So whoever
/// reads finds the old text or the new one whole, whenever the writer dies. One thread writes at a time.
public struct SharedDocument: Sendable {
    private let region: SharedRegion

    /// Makes the two files and names them in the region. Once, by the process that makes the region.
    public static func create(in region: SharedRegion) throws(SystemError) -> SharedDocument {
        region.continuity.pointee.document.0 = try AnonymousFile.create(name: "limpet-document")
        region.continuity.pointee.document.1 = try AnonymousFile.create(name: "limpet-document")
        return SharedDocument(region: region)
    }

    /// The document of a region that has one.
    public init(region: SharedRegion) {
        self.region = region
    }

    /// Makes the text count.
    public func publish(_ text: [UInt8]) throws(SystemError) {
        let next = limpet_load32(&region.continuity.pointee.document_current) == 0 ? 1 : 0
        let file = next == 0 ? region.continuity.pointee.document.0 : region.continuity.pointee.document.1
        if let error = AnonymousFile.replace(file, with: text) {
            throw SystemError("write down the active configuration", error)
        }
        if next == 0 {
            region.continuity.pointee.document_length.0 = UInt32(text.count)
        } else {
            region.continuity.pointee.document_length.1 = UInt32(text.count)
        }
        limpet_publish32(&region.continuity.pointee.document_current, UInt32(next))
    }

    /// The text that counts.
    public func read() throws(SystemError) -> [UInt8] {
        let isSecond = limpet_load32(&region.continuity.pointee.document_current) == 1
        let lengths = region.continuity.pointee.document_length
        let files = region.continuity.pointee.document
        return try AnonymousFile.read(isSecond ? files.1 : files.0, count: Int(isSecond ? lengths.1 : lengths.0))
    }
}
