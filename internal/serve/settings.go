package serve

import (
	"path/filepath"
	"reflect"

	"github.com/iotctl/iotctl/internal/transport"
)

// LoadSettings reads the file of another part of the program, in YAML, into v, a
// pointer to a struct. Keys are the names of its fields in snake case, or their yaml
// tags; those that are unknown are problems. check, which may be nil, is called when
// all could be read: its errors begin with the paths of settings, as those of
// Validate functions do. The error is Problems.
func LoadSettings(data []byte, name string, v any, check func() error) error {
	d := &decoder{dir: filepath.Dir(name)}
	d.source = source{file: name, lines: map[string]int{}}
	doc, err := parse(data)
	if err != nil {
		d.addYAML(err)
		return d.err()
	}
	d.mapping(doc, "", d.fields(reflect.ValueOf(v).Elem()))
	if d.all == nil && check != nil {
		d.addJoined("", check())
	}
	return d.err()
}

// ListenerSettings is what a file says about a listener, wherever there are such.
type ListenerSettings = fileListener

// Config is the listener's URL and options.
func (f *fileListener) Config() (url string, cfg transport.ListenConfig) {
	l := f.listener("")
	return l.URL, l.ListenConfig
}

// SizeBytes is a number of bytes that a file may write as 64KiB.
type SizeBytes = size
