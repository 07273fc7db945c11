package compress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/iotctl/iotctl/internal/payload"
)

// Zstd is the format zstd: RFC 8878, without dictionaries.
func Zstd() payload.Format {
	return payload.Format{
		Name: "zstd", Kind: payload.Packs, About: "Zstandard (RFC 8878), without dictionaries", Example: "zstd|cbor",
		Types: []string{"application/zstd", "+zstd"},
		Guess: func(c *payload.Content) bool { return bytes.HasPrefix(c.Bytes, []byte{0x28, 0xb5, 0x2f, 0xfd}) },
		New:   func(string) (payload.Codec, error) { return &zstdCodec{}, nil },
	}
}

// zstdCodec makes its coders when they are needed: an encoder has tables of
// megabytes.
type zstdCodec struct {
	reader *zstd.Decoder
	writer *zstd.Encoder
}

func (z *zstdCodec) Decode(c *payload.Content) (err error) {
	if z.reader == nil {
		z.reader, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(payload.MaxBytes), zstd.WithDecoderMaxWindow(payload.MaxBytes))
		if err != nil {
			return err
		}
	}
	out := []byte{}
	for at := 0; at < len(c.Bytes) || at == 0; {
		n, err := frame(c.Bytes, at)
		if err != nil {
			return err
		}
		out, err = z.reader.DecodeAll(c.Bytes[at:at+n], out)
		switch {
		case errors.Is(err, zstd.ErrDecoderSizeExceeded), len(out) > payload.MaxBytes:
			return payload.Malformedf(at, "more than %d bytes come out", payload.MaxBytes)
		case errors.Is(err, zstd.ErrUnknownDictionary):
			return payload.Malformedf(at, "it needs a dictionary")
		case err != nil:
			return payload.Malformedf(at, "%s", strings.TrimPrefix(err.Error(), "invalid input: "))
		}
		at += n
	}
	c.Bytes = out
	return nil
}

func (z *zstdCodec) Encode(c *payload.Content) (err error) {
	if z.writer == nil {
		z.writer, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return err
		}
	}
	c.Bytes = z.writer.EncodeAll(c.Bytes, nil)
	if c.Bytes == nil { // of nothing it makes nothing
		c.Bytes = []byte{0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0}
	}
	return nil
}

// Frames. RFC 8878 §3.1
const (
	zstdMagic     = 0xfd2fb528
	skippable     = 0x184d2a50 // and the 15 behind it
	zstdBlockMost = 128 << 10  // bytes that come out of a block
)

// frame is how long the frame at b[at] is. It goes from block to block, so that no
// header can claim more than the blocks can hold.
func frame(b []byte, at int) (int, error) {
	left := b[at:]
	if len(left) < 8 {
		return 0, payload.Malformedf(at, "the end is missing: %d bytes of a frame", len(left))
	}
	magic := binary.LittleEndian.Uint32(left)
	switch {
	case magic&^15 == skippable:
		n := uint64(binary.LittleEndian.Uint32(left[4:])) + 8
		if n > uint64(len(left)) {
			return 0, payload.Malformedf(at, "the end is missing: %d of %d bytes of a frame", len(left), n)
		}
		return int(n), nil
	case magic != zstdMagic:
		return 0, payload.Malformedf(at, "no frame begins here")
	}
	head := left[4]
	single := head>>5&1 == 1
	size := [...]int{0, 1, 2, 4}[head&3] // of the identifier of the dictionary
	content := [...]int{0, 2, 4, 8}[head>>6]
	if single && content == 0 {
		content = 1
	}
	if !single {
		size++ // the window
	}
	pos := 5 + size + content
	most := uint64(0)
	for last := false; !last; {
		if pos+3 > len(left) {
			return 0, payload.Malformedf(at+min(pos, len(left)), "the end is missing: a block without its header")
		}
		h := uint(left[pos]) | uint(left[pos+1])<<8 | uint(left[pos+2])<<16
		last = h&1 == 1
		n := int(h >> 3)
		if h>>1&3 == 1 { // one byte, repeated
			n = 1
		}
		if left := len(left) - pos - 3; n > left {
			return 0, payload.Malformedf(at+pos, "the end is missing: %d of %d bytes of a block", left, n)
		}
		pos += 3 + n
		most += zstdBlockMost
	}
	if content > 0 {
		if claimed := contentSize(left[5+size:][:content]); claimed > most {
			return 0, payload.Malformedf(at+5+size, "%d bytes are to come out of blocks that hold %d at most", claimed, most)
		}
	}
	if head>>2&1 == 1 { // a checksum
		pos += 4
	}
	if pos > len(left) {
		return 0, payload.Malformedf(at+len(left), "the end is missing: part of the checksum")
	}
	return pos, nil
}

func contentSize(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b)) + 256
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}
