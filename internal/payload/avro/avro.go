// Package avro reads and writes data of Apache Avro by the schemas of .avsc
// files: bare data, the single-object encoding, and data behind the header of a
// schema registry.
//
// Fields stand in the order of the schema. Logical types are text that people
// read, or exact numbers. A union of null and one other type is the value itself;
// of other unions the value stands in an object whose member names the branch, as
// in Avro's own JSON.
package avro

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/payload"
)

// Raw is the format "avro": data without a header.
func Raw() payload.Format {
	return payload.Format{
		Name:    "avro",
		Args:    ":FILE.avsc[,FILE.avsc…]",
		About:   "Avro; the types of files before the last are known to it",
		Example: "avro:reading.avsc",
		Empty:   true,
		New:     func(arg string) (payload.Codec, error) { return open(arg, none) },
	}
}

// Single is the format "avro-single": C3 01, the fingerprint of the schema, data
// (single-object encoding).
func Single() payload.Format {
	return payload.Format{
		Name:    "avro-single",
		Args:    ":FILE.avsc[,FILE.avsc…]",
		About:   "Avro with the fingerprint of one of the schemas; the last one writes",
		Example: "avro-single:v1.avsc,v2.avsc",
		New:     func(arg string) (payload.Codec, error) { return open(arg, fingerprint) },
	}
}

// Registry is the format "avro-registry": 00, the id that a registry has given the
// schema, data.
func Registry() payload.Format {
	return payload.Format{
		Name:    "avro-registry",
		Args:    ":[ID:]FILE.avsc[,[ID:]FILE.avsc…]",
		About:   "Avro with the id of a schema registry; the last schema writes",
		Example: "avro-registry:17:v1.avsc,18:v2.avsc",
		New:     func(arg string) (payload.Codec, error) { return open(arg, registry) },
	}
}

// header is what stands before the data.
type header uint8

const (
	none header = iota
	fingerprint
	registry
)

const (
	fingerprintSize = 10
	registrySize    = 5
)

type codec struct {
	header  header
	schemas []loaded
}

// loaded is a schema and what tells it.
type loaded struct {
	file        string
	schema      *schema
	fingerprint uint64
	id          uint32
	hasID       bool
}

func open(arg string, h header) (*codec, error) {
	if arg == "" {
		return nil, errors.New("the file of the schema is missing, as in :reading.avsc")
	}
	k := &codec{header: h}
	known := map[string]*schema{}
	for word := range strings.SplitSeq(arg, ",") {
		l := loaded{file: word}
		if id, file, ok := strings.Cut(word, ":"); ok && h == registry {
			n, err := strconv.ParseUint(id, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("%q: an id of a schema is a number of 32 bits", id)
			}
			l.file, l.id, l.hasID = file, uint32(n), true
		}
		b, err := payload.ReadFile(l.file)
		if err != nil {
			return nil, err
		}
		p := &parser{known: known, own: map[string]*schema{}}
		if l.schema, err = p.parse(b); err != nil {
			return nil, fmt.Errorf("%s: %w", l.file, err)
		}
		maps.Copy(known, p.own)
		l.fingerprint = crc64(canonical(nil, l.schema, map[string]bool{}))
		k.schemas = append(k.schemas, l)
	}
	return k, nil
}

func (k *codec) Decode(c *payload.Content) error {
	l, at, err := k.choose(c)
	if err != nil {
		return err
	}
	d := &decoder{b: c.Bytes, at: at}
	v, err := d.value(l.schema)
	if err != nil {
		return err
	}
	if d.at < len(d.b) {
		return payload.Malformedf(d.at, "%d bytes behind the data: another schema, perhaps", len(d.b)-d.at)
	}
	c.Value = v
	return nil
}

// choose finds the schema of a payload, and where its data begins.
func (k *codec) choose(c *payload.Content) (*loaded, int, error) {
	last := &k.schemas[len(k.schemas)-1]
	switch k.header {
	case fingerprint:
		if len(c.Bytes) < fingerprintSize || c.Bytes[0] != 0xc3 || c.Bytes[1] != 1 {
			return nil, 0, payload.Malformedf(0, "no single-object encoding: that begins with c3 01 and 8 bytes of fingerprint")
		}
		n := binary.LittleEndian.Uint64(c.Bytes[2:])
		var have []string
		for i := range k.schemas {
			l := &k.schemas[i]
			if l.fingerprint == n {
				return l, fingerprintSize, nil
			}
			have = append(have, fmt.Sprintf("%s has %016x", filepath.Base(l.file), l.fingerprint))
		}
		return nil, 0, payload.Malformedf(2, "the fingerprint %016x is that of no schema given: %s", n, strings.Join(have, ", "))
	case registry:
		if len(c.Bytes) < registrySize || c.Bytes[0] != 0 {
			return nil, 0, payload.Malformedf(0, "no header of a schema registry: that is 00 and an id of 4 bytes")
		}
		id := binary.BigEndian.Uint32(c.Bytes[1:])
		c.Label = fmt.Sprintf("avro-registry:%d", id)
		for i := range k.schemas {
			if l := &k.schemas[i]; l.hasID && l.id == id {
				return l, registrySize, nil
			}
		}
		if last.hasID {
			return nil, 0, payload.Malformedf(1, "schema %d is not among those given", id)
		}
		c.Notes = append(c.Notes, fmt.Sprintf("schema %d is read by %s", id, filepath.Base(last.file)))
		return last, registrySize, nil
	}
	return last, 0, nil
}

func (k *codec) Encode(c *payload.Content) error {
	v, err := c.Typed()
	if err != nil {
		return err
	}
	l := &k.schemas[len(k.schemas)-1]
	b := []byte{}
	switch {
	case k.header == fingerprint:
		b = binary.LittleEndian.AppendUint64([]byte{0xc3, 1}, l.fingerprint)
	case k.header == registry && !l.hasID:
		return fmt.Errorf("the id of the schema is missing, as in avro-registry:17:%s", l.file)
	case k.header == registry:
		b = binary.BigEndian.AppendUint32([]byte{0}, l.id)
	}
	e := &encoder{}
	b, err = e.value(b, "", l.schema, v)
	c.Bytes = bytes.Clone(b)
	return err
}
