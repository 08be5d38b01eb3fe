internal import CLinux
internal import Glibc

/// Groups that may use a file beside its own: a POSIX access control list (acl(5)), as it lies in the extended attribute
/// `system.posix_acl_access`. The owner of a file may name any group there, also where it could not give the file to that
/// group.
///
/// The permission bits stay as they are seen: those of the group are the mask of the list, so they must allow what the list
/// is to give.
extension PinnedFile {
    /// Makes `groups`, and no others, have `rights` beside those whom the permissions name. Without any the list goes.
    /// - Parameters:
    ///   - rights: as in one digit of chmod(2).
    ///   - keepingOthers: leaves what the list says already, and adds to it.
    /// - Returns: nil: done. ``Errno/notSupported`` where the file system has no such lists.
    public func admit(groups: [UInt32], rights: UInt16, keepingOthers: Bool = false) -> Errno? {
        let permissions: UInt32
        let former: AccessList?
        switch (look(), accessList()) {
        case (.failure(let error), _), (_, .failure(let error)): return error
        case (.success(let entry), .success(let list)):
            permissions = entry.permissions
            former = list
        }
        guard !groups.isEmpty else {
            return former == nil || keepingOthers ? nil : setAccessList(nil)
        }
        var list = keepingOthers ? former ?? AccessList(permissions) : AccessList(permissions)
        list.add(groups: groups, rights: rights)
        return list == former ? nil : setAccessList(list)
    }

    /// The groups that the list names, ascending; empty where there is no list.
    public func admittedGroups() -> Result<[UInt32], Errno> {
        accessList().map { list in
            (list?.entries ?? []).filter { $0.tag == AccessList.group && $0.rights != 0 }.map(\.id)
        }
    }

    /// nil: the permission bits are all that there is.
    private func accessList() -> Result<AccessList?, Errno> {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = getxattr(ownPath, AccessList.attribute, &buffer, buffer.count)
        guard count < 0 else { return .success(AccessList(Array(buffer.prefix(count)))) }
        let error = Errno.last
        return error.rawValue == ENODATA || error == .notSupported ? .success(nil) : .failure(error)
    }

    private func setAccessList(_ list: AccessList?) -> Errno? {
        guard let list else {
            if removexattr(ownPath, AccessList.attribute) == 0 { return nil }
            let error = Errno.last
            return error.rawValue == ENODATA || error == .notSupported ? nil : error
        }
        let bytes = list.bytes
        return setxattr(ownPath, AccessList.attribute, bytes, bytes.count, 0) == 0 ? nil : .last
    }
}

/// The entries of such a list, as the kernel takes them: version 2, little-endian.
private struct AccessList: Equatable {
    static let attribute = "system.posix_acl_access"
    private static let version: UInt32 = 2
    static let owner: UInt16 = 0x01
    static let owningGroup: UInt16 = 0x04
    static let group: UInt16 = 0x08
    static let mask: UInt16 = 0x10
    static let others: UInt16 = 0x20
    private static let nobody = UInt32.max

    struct Entry: Equatable {
        var tag: UInt16
        var rights: UInt16
        var id: UInt32
    }

    var entries: [Entry]

    /// What the permission bits alone say.
    init(_ permissions: UInt32) {
        func digit(_ shift: UInt32) -> UInt16 { UInt16(permissions >> shift & 7) }
        entries = [
            Entry(tag: AccessList.owner, rights: digit(6), id: AccessList.nobody),
            Entry(tag: AccessList.owningGroup, rights: digit(3), id: AccessList.nobody),
            Entry(tag: AccessList.others, rights: digit(0), id: AccessList.nobody),
        ]
    }

    /// nil: it is none that this build knows.
    init?(_ bytes: [UInt8]) {
        func number<Number: FixedWidthInteger>(_ offset: Int, _: Number.Type) -> Number {
            (0..<MemoryLayout<Number>.size).reduce(0) { $0 | Number(bytes[offset + $1]) << Number($1 * 8) }
        }
        guard bytes.count >= 4, bytes.count % 8 == 4, number(0, UInt32.self) == AccessList.version else { return nil }
        entries = stride(from: 4, to: bytes.count, by: 8).map { offset in
            Entry(
                tag: number(offset, UInt16.self), rights: number(offset + 2, UInt16.self),
                id: number(offset + 4, UInt32.self))
        }
    }

    var bytes: [UInt8] {
        func little<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
            (0..<MemoryLayout<Number>.size).map { UInt8(truncatingIfNeeded: number >> Number($0 * 8)) }
        }
        return little(AccessList.version)
            + entries.flatMap { little($0.tag) + little($0.rights) + little($0.id) }
    }

    /// The kernel wants them in the order of tags and ids, and a mask that bounds what groups are given.
    mutating func add(groups: [UInt32], rights: UInt16) {
        entries.removeAll { $0.tag == AccessList.group && groups.contains($0.id) }
        entries += Set(groups).map { Entry(tag: AccessList.group, rights: rights, id: $0) }
        let bounds = entries.first { $0.tag == AccessList.mask } ?? entries.first { $0.tag == AccessList.owningGroup }
        entries.removeAll { $0.tag == AccessList.mask }
        entries.append(Entry(tag: AccessList.mask, rights: (bounds?.rights ?? 0) | rights, id: AccessList.nobody))
        entries.sort { ($0.tag, $0.id) < ($1.tag, $1.id) }
    }
}
