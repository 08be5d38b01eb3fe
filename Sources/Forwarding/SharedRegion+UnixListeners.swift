public import Addressing
import CLayout
public import Linux

/// Listeners that are Unix sockets: their paths, and the files that are to go with them.
extension SharedRegion {
    /// Says that a listener is a Unix socket, before it is used.
    public func setPath(_ path: UnixPath, ofListener slot: Int) {
        let place = unixListener(slot)
        place.pointee = limpet_unix_listener()
        var name = path.name
        name.withUTF8 { bytes in
            guard let base = bytes.baseAddress else { return }
            limpet_path_set(&place.pointee.path, base, UInt32(bytes.count), path.isAbstract)
        }
        listener(slot).pointee.address.setPath()
    }

    /// Says which file is to be removed when the listener ends.
    public func setFile(_ file: PathEntry, ofListener slot: Int) {
        let place = unixListener(slot)
        place.pointee.device = file.device
        place.pointee.modified = UInt64(bitPattern: file.modified)
        limpet_publish64(&place.pointee.inode, file.inode)
    }

    /// Removes the file of a listener that ends, unless it is another's by now. Done again it changes nothing.
    public func removeFile(ofListener slot: Int) {
        let place = unixListener(slot)
        guard place.pointee.inode != 0, case .unix(let path)? = listenerAddress(slot) else { return }
        UnixListener.remove(
            path,
            PathEntry(
                socketOnDevice: place.pointee.device, inode: place.pointee.inode,
                modified: Int64(bitPattern: place.pointee.modified), gid: 0))
        limpet_publish64(&place.pointee.inode, 0)
    }

    /// The same for all of them: the daemon ends.
    public func removeListenerFiles() {
        for slot in 0..<listenerSlots {
            if listener(slot).pointee.used == UInt8(LIMPET_SLOT_FREE) { break }
            removeFile(ofListener: slot)
        }
    }
}
