package recording

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// End finds where a recording that may have been cut ends with something whole: a
// line, or a block of a pcapng. size is that of all.
func End(f io.ReadSeeker, isCapture bool) (end, size int64, err error) {
	if size, err = f.Seek(0, io.SeekEnd); err != nil || size == 0 {
		return 0, size, err
	}
	if isCapture {
		end, err = lastBlock(f, size)
	} else {
		end, err = lastLine(f, size)
	}
	return end, size, err
}

// lastLine looks for the last newline, from the end.
func lastLine(f io.ReadSeeker, size int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for at := size; at > 0; {
		n := min(at, int64(len(buf)))
		at -= n
		if _, err := f.Seek(at, io.SeekStart); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(f, buf[:n]); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return at + int64(i) + 1, nil
		}
	}
	first := make([]byte, 1)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(f, first); err != nil {
		return 0, err
	}
	if first[0] != '{' {
		return 0, errors.New("that is no recording")
	}
	return 0, nil
}

// lastBlock walks along the blocks of a pcapng of this machine's making.
func lastBlock(f io.ReadSeeker, size int64) (int64, error) {
	const head = 12 // type, length, and the byte order of a section
	b := make([]byte, head)
	for at := int64(0); ; {
		if _, err := f.Seek(at, io.SeekStart); err != nil {
			return 0, err
		}
		if size-at < head {
			return at, nil
		}
		if _, err := io.ReadFull(f, b); err != nil {
			return 0, err
		}
		n := int64(binary.LittleEndian.Uint32(b[4:]))
		switch {
		case at == 0 && (binary.LittleEndian.Uint32(b) != 0x0A0D0D0A || binary.LittleEndian.Uint32(b[8:]) != 0x1A2B3C4D):
			return 0, errors.New("that is no pcapng of this program")
		case n < head || n%4 != 0:
			return 0, fmt.Errorf("byte %d: a block of %d bytes", at, n)
		case at+n > size:
			return at, nil
		}
		at += n
	}
}
