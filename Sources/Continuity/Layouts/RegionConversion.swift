internal import CLayout
internal import Forwarding
internal import Linux

/// A copy of a shared region in another layout of its records, or with areas (areas.h) that it did not have. The region that it was made from stays as it is: until the
/// image that wants the copy is safe, the one before it may have to go on with the original.
struct RegionConversion: Sendable {
    /// The version that the copy says it has.
    let version: UInt32
    /// Bytes of a record as it is and as it shall be.
    let recordBytes: (before: Int, after: Int)
    /// Writes one record anew. false: the slot was never used, and so was none behind it on this worker.
    let convert: @Sendable (UnsafeRawPointer, UnsafeMutableRawPointer) -> Bool

    /// - Parameter original: a region of the layout that ``convert`` reads, which nobody writes to meanwhile.
    /// - Returns: the copy, mapped. It names its own descriptor as the region's.
    func run(_ original: SharedMemory) throws(SystemError) -> SharedMemory {
        let before = original.header.pointee
        let start = Int(before.record_offset)
        let count = Int(before.workers) * Int(before.records_per_worker)
        var header = before
        var areas = SharedRegion.areas(original)
        // New areas come between all the rest and the records.
        var recordStart = start
        SharedRegion.placeAreas(&header, &areas, from: &recordStart)
        let copy = try SharedMemory(
            name: "limpet", size: recordStart + (count * recordBytes.after + 4095) / 4096 * 4096)

        // All but the records lies the same in every layout. Pages that were never touched stay so.
        for extent in try original.extents(in: 0..<start) {
            (copy.base + extent.lowerBound).copyMemory(
                from: original.base + extent.lowerBound, byteCount: extent.count)
        }
        copy.header.pointee.areas_offset = header.areas_offset
        copy.header.pointee.record_offset = UInt64(recordStart)
        (copy.base + Int(header.areas_offset)).assumingMemoryBound(to: limpet_areas.self).pointee = areas
        copy.header.pointee.version = version
        copy.header.pointee.record_bytes = UInt32(recordBytes.after)
        copy.header.pointee.size = UInt64(copy.size)
        copy.continuity.pointee.region = copy.descriptor

        for worker in 0..<Int(before.workers) {
            let first = worker * Int(before.records_per_worker)
            for slot in first..<(first + Int(before.records_per_worker)) {
                let from = original.base + start + slot * recordBytes.before
                guard convert(from, copy.base + recordStart + slot * recordBytes.after) else { break }
            }
        }
        return copy
    }
}

extension SharedMemory {
    /// Of a shared region, whatever the layout of its records.
    var header: UnsafeMutablePointer<limpet_shared_header> {
        base.assumingMemoryBound(to: limpet_shared_header.self)
    }

    /// The same.
    var continuity: UnsafeMutablePointer<limpet_continuity> {
        (base + Int(header.pointee.continuity_offset)).assumingMemoryBound(to: limpet_continuity.self)
    }
}
