public import CLayout
public import Forwarding
public import Linux

/// Which layouts of the shared region this build knows, and the way from one to another.
///
/// A build reads its own layout and those that it has a converter from; it can give the region back to an older build
/// where it has a converter to that one's layout. Every way there is keeps everything.
public enum Layouts {
    /// The layout that this build works on.
    public static let own = LIMPET_LAYOUT_VERSION

    #if LIMPET_LAYOUT_1
        private static let older: [UInt32: RegionConversion] = [:]
        private static let newer: [UInt32: RegionConversion] = [:]
    #else
        /// From which layout to our own.
        private static let older: [UInt32: RegionConversion] = [
            1: conversion(to: 2) { (old: limpet_record_1) in
                old.generation == 0 ? nil : limpet_record_2(old)
            }
        ]
        /// From our own to which layout.
        private static let newer: [UInt32: RegionConversion] = [
            1: conversion(to: 1) { (own: limpet_record_2) in
                own.generation == 0 ? nil : limpet_record_1(own)
            }
        ]
    #endif

    /// From our own to our own: with the areas that a region of an older build lacks.
    private static let completion = conversion(to: own) { (record: limpet_record) in
        record.generation == 0 ? nil : record
    }

    /// Layouts that a region may have for this build to take it over, our own among them; ascending.
    public static var readable: [UInt32] { (Array(older.keys) + [own]).sorted() }
    /// Layouts in which this build can give a region back, our own among them; ascending.
    public static var restorable: [UInt32] { (Array(newer.keys) + [own]).sorted() }

    /// Takes a region over, whatever layout of those it has.
    /// - Parameter descriptor: the region's memfd.
    /// - Throws: where it is no region or of a layout that this build does not read.
    public static func adopt(_ descriptor: Int32) throws(SystemError) -> AdoptedRegion {
        let version = try version(of: descriptor)
        guard let conversion = version == own ? completion : older[version] else {
            throw SystemError("take over a shared region of layout \(version)", .invalidArgument)
        }
        let inherited = try SharedMemory(adopting: descriptor)
        if version == own, SharedRegion.hasAllAreas(inherited) {
            return AdoptedRegion(
                region: try SharedRegion(adopting: inherited), inherited: inherited, isConverted: false)
        }
        let copy = try conversion.run(inherited)
        return AdoptedRegion(region: try SharedRegion(adopting: copy), inherited: inherited, isConverted: true)
    }

    /// Makes a copy of our region in the layout of an older build, for that one to go on with.
    /// - Returns: the copy; where the layout is our own, the region's own memory.
    static func restore(_ region: SharedRegion, as version: UInt32) throws(SystemError) -> SharedMemory {
        if version == own { return region.memory }
        guard let conversion = newer[version] else {
            throw SystemError("give a shared region back in layout \(version)", .invalidArgument)
        }
        return try conversion.run(region.memory)
    }

    private static func version(of descriptor: Int32) throws(SystemError) -> UInt32 {
        let bytes = try AnonymousFile.read(descriptor, count: MemoryLayout<limpet_shared_header>.size)
        let header = bytes.withUnsafeBytes { $0.loadUnaligned(as: limpet_shared_header.self) }
        guard header.magic == LIMPET_LAYOUT_MAGIC else {
            throw SystemError("take over descriptor \(descriptor) as a shared region", .invalidArgument)
        }
        return header.version
    }

    private static func conversion<Old: BitwiseCopyable, New: BitwiseCopyable>(
        to version: UInt32, _ convert: @escaping @Sendable (Old) -> New?
    ) -> RegionConversion {
        RegionConversion(
            version: version, recordBytes: (MemoryLayout<Old>.stride, MemoryLayout<New>.stride)
        ) { before, after in
            guard let record = convert(before.load(as: Old.self)) else { return false }
            after.storeBytes(of: record, as: New.self)
            return true
        }
    }
}

/// A region that was taken over from another process.
public struct AdoptedRegion {
    /// In our layout.
    public let region: SharedRegion
    /// As it was handed down: `region` itself, or the one that it was converted from.
    private let inherited: SharedMemory
    public let isConverted: Bool

    fileprivate init(region: SharedRegion, inherited: SharedMemory, isConverted: Bool) {
        self.region = region
        self.inherited = inherited
        self.isConverted = isConverted
    }

    /// What the guard of our exec looks at: it knows the region that was handed down and no other.
    public var handedDown: UnsafeMutablePointer<limpet_continuity> { inherited.continuity }

    /// Gives the region up that ours was converted from. Once we are safe and the guard has gone; ``handedDown`` must not
    /// be used any more.
    public func forgetInherited() {
        guard isConverted else { return }
        inherited.unmap()
        Descriptor.close(inherited.descriptor)
    }
}
