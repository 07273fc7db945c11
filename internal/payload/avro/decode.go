package avro

import (
	"encoding/binary"
	"math"
	"unicode/utf8"

	"github.com/iotctl/iotctl/internal/payload"
)

// maxDepth bounds what is in each other, objects for branches of unions counted.
const maxDepth = payload.MaxDepth - 2

type decoder struct {
	b      []byte
	at     int
	values int
	depth  int
}

// enter begins one more level.
func (d *decoder) enter() error {
	if d.depth++; d.depth > maxDepth {
		return payload.Malformedf(d.at, "more than %d levels", maxDepth)
	}
	return nil
}

func (d *decoder) value(s *schema) (any, error) {
	if d.values++; d.values > payload.MaxValues {
		return nil, payload.Malformedf(d.at, "more than %d values", payload.MaxValues)
	}
	switch s.kind {
	case nullKind:
		return nil, nil
	case booleanKind:
		b, err := d.take(1, "a boolean")
		if err != nil || b[0] > 1 {
			return nil, orMalformed(err, d.at-1, "0x%02x is no boolean", b)
		}
		return b[0] == 1, nil
	case intKind, longKind:
		at := d.at
		n, err := d.long(s.kind.String())
		if err != nil || s.kind == intKind && n != int64(int32(n)) {
			return nil, orMalformed(err, at, "%d does not fit an int", n)
		}
		return s.integer(n), nil
	case floatKind:
		b, err := d.take(4, "a float")
		if err != nil {
			return nil, err
		}
		return payload.Float(float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 32), nil
	case doubleKind:
		b, err := d.take(8, "a double")
		if err != nil {
			return nil, err
		}
		return payload.Float(math.Float64frombits(binary.LittleEndian.Uint64(b)), 64), nil
	case bytesKind:
		b, err := d.sized("bytes")
		return s.binary(b), err
	case fixedKind:
		b, err := d.take(s.size, s.name)
		return s.binary(b), err
	case stringKind:
		return d.text()
	case enumKind:
		at := d.at
		n, err := d.long(s.name)
		if err != nil || n < 0 || n >= int64(len(s.symbols)) {
			return nil, orMalformed(err, at, "%s has %d symbols, and this is number %d", s.name, len(s.symbols), n)
		}
		return s.symbols[n], nil
	}
	defer func() { d.depth-- }()
	if err := d.enter(); err != nil {
		return nil, err
	}
	switch s.kind {
	case recordKind:
		return d.record(s)
	case unionKind:
		return d.union(s)
	case mapKind:
		o := payload.Object{}
		err := d.blocks(func() error {
			name, err := d.text()
			if err != nil {
				return err
			}
			v, err := d.value(s.items)
			o = append(o, payload.Member{Name: name, Value: v})
			return err
		})
		return o, err
	}
	list := []any{}
	err := d.blocks(func() error {
		v, err := d.value(s.items)
		list = append(list, v)
		return err
	})
	return list, err
}

func orMalformed(err error, at int, format string, a ...any) error {
	if err != nil {
		return err
	}
	return payload.Malformedf(at, format, a...)
}

func (d *decoder) record(s *schema) (any, error) {
	o := make(payload.Object, 0, min(len(s.fields), len(d.b)-d.at+8))
	for _, f := range s.fields {
		v, err := d.value(f.schema)
		if err != nil {
			return nil, err
		}
		o = append(o, payload.Member{Name: f.name, Value: v})
	}
	return o, nil
}

func (d *decoder) union(s *schema) (any, error) {
	at := d.at
	n, err := d.long("the branch of a union")
	if err != nil || n < 0 || n >= int64(len(s.branches)) {
		return nil, orMalformed(err, at, "a union of %d types, and this is number %d", len(s.branches), n)
	}
	b := s.branches[n]
	v, err := d.value(b)
	if err != nil || b.kind == nullKind || s.only() != nil {
		return v, err
	}
	return payload.Object{{Name: b.branch(), Value: v}}, nil
}

// blocks calls item for each item of an array or a map: blocks of a count and
// items, with a size in bytes behind a negative count, up to a count of 0.
func (d *decoder) blocks(item func() error) error {
	for {
		at := d.at
		n, err := d.long("a count of items")
		if err != nil || n == 0 {
			return err
		}
		if n < 0 {
			if _, err := d.long("the size of a block"); err != nil {
				return err
			}
			if n = -n; n < 0 {
				return payload.Malformedf(at, "a count of items that nobody has")
			}
		}
		for range n {
			if err := item(); err != nil {
				return err
			}
		}
	}
}

func (d *decoder) take(n int, what string) ([]byte, error) {
	if n > len(d.b)-d.at {
		return nil, payload.Malformedf(d.at, "%s has %d bytes, and there are %d", what, n, len(d.b)-d.at)
	}
	b := d.b[d.at : d.at+n]
	d.at += n
	return b, nil
}

// long is a number in zigzag, seven bits to a byte.
func (d *decoder) long(what string) (int64, error) {
	n, size := binary.Uvarint(d.b[d.at:])
	if size <= 0 {
		return 0, payload.Malformedf(d.at, "%s is cut short, or longer than 64 bits", what)
	}
	d.at += size
	return int64(n>>1) ^ -int64(n&1), nil
}

func (d *decoder) sized(what string) ([]byte, error) {
	at := d.at
	n, err := d.long("the length of " + what)
	if err != nil {
		return nil, err
	}
	if n < 0 || n > int64(len(d.b)-d.at) {
		return nil, payload.Malformedf(at, "%s of %d bytes, and there are %d", what, n, len(d.b)-d.at)
	}
	return d.take(int(n), what)
}

func (d *decoder) text() (string, error) {
	b, err := d.sized("a string")
	if err == nil && !utf8.Valid(b) {
		return "", payload.Malformedf(d.at-len(b), "a string that is not UTF-8")
	}
	return string(b), err
}
