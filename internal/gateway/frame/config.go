package frame

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/codec/frame"
	"github.com/iotctl/iotctl/internal/transport"
)

// Config of the gateway. The zero value refuses everybody, because it has no
// authenticator.
type Config struct {
	Authenticator auth.Authenticator // nil: nobody may connect
	Logger        *slog.Logger       // nil: discarded

	// Codecs are files beside the definitions that come with the program. One
	// takes the place of a definition of the same name.
	Codecs []Definition
	// ConnectTimeout is how long a device may take to be logged in. 0: 30 s.
	ConnectTimeout time.Duration
	// IdleTimeout is how long a device may send no frame, where its definition
	// does not say. 0: 10 min.
	IdleTimeout time.Duration
	// DeviceID names the devices of protocols that have no names, on listeners
	// whose URL does not. ${ip}, ${port}, ${listener} and ${cn} (the common name
	// of the certificate) are filled in. "": ${ip}_${port}.
	DeviceID string
	// PendingBytes is how much may wait to be written to one device; what comes
	// beyond is dropped. 0: 256 KiB.
	PendingBytes int
	// SendTimeout ends a connection that takes nothing for so long. 0: 30 s.
	SendTimeout time.Duration
}

// Definition is a file that describes a protocol.
type Definition struct {
	Name   string // of the file
	Source string
}

// ReadFile takes the content of the file. It is checked with the Config.
func (d *Definition) ReadFile(name string, content []byte) error {
	d.Name, d.Source = name, string(content)
	return nil
}

func (c Config) withDefaults() Config {
	def(&c.ConnectTimeout, 30*time.Second)
	def(&c.IdleTimeout, 10*time.Minute)
	def(&c.DeviceID, "${ip}_${port}")
	def(&c.PendingBytes, 256<<10)
	def(&c.SendTimeout, 30*time.Second)
	return c
}

func def[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// Validate returns every problem, with the names of the configuration file.
func (c Config) Validate() error {
	_, err := c.compile()
	return err
}

// CheckListener says what is wrong with the URL of a listener.
func (c Config) CheckListener(e transport.Endpoint) error {
	name, template := target(e.Path)
	if err := checkTemplate(template); err != nil {
		return err
	}
	for _, d := range c.Codecs {
		if d.codec() == name {
			return nil // Validate says what is wrong with it, if anything is
		}
	}
	if slices.Contains(frame.Builtin(), name) {
		return nil
	}
	if name == "" {
		return fmt.Errorf("the URL does not say which codec, as in %s/gt06", strings.TrimSuffix(e.String(), "/"))
	}
	if file := strings.TrimPrefix(e.Path, "/"); name == "." || name == ".." || strings.HasSuffix(name, ".yaml") {
		return fmt.Errorf("%s is a file: list it in frame.codecs, and put the name of its codec here", file)
	}
	return fmt.Errorf("no codec %q: there are %s; files go into frame.codecs", name, strings.Join(c.names(), ", "))
}

// names lists the codecs that listeners may name.
func (c Config) names() []string {
	names := frame.Builtin()
	for _, d := range c.Codecs {
		if codec, err := d.compile(); err == nil {
			names = append(names, codec.Name())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// target takes the path of a listener's URL apart: /NAME or /NAME/DEVICE.
func target(path string) (codec, device string) {
	codec, device, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return codec, device
}

// settings is a Config with its files compiled, and of the definitions of the
// program those that some device has needed. It is immutable otherwise.
type settings struct {
	Config
	codecs  map[string]*frame.Codec // of files, by name
	shipped sync.Map                // *frame.Codec by name
}

// codec returns the one that a listener names, or nil if its file has gone.
func (s *settings) codec(name string) *frame.Codec {
	if c := s.codecs[name]; c != nil {
		return c
	}
	if c, ok := s.shipped.Load(name); ok {
		return c.(*frame.Codec)
	}
	c, err := frame.Open(name)
	if err != nil {
		return nil
	}
	s.shipped.Store(name, c)
	return c
}

// compile makes the settings of c, or returns everything that is wrong with it.
func (c Config) compile() (*settings, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	s := &settings{Config: c.withDefaults(), codecs: map[string]*frame.Codec{}}
	from := map[string]string{}
	for i, d := range c.Codecs {
		codec, err := d.compile()
		if err != nil {
			bad("codecs[%d]: %w", i, err)
			continue
		}
		if other, taken := from[codec.Name()]; taken {
			bad("codecs[%d]: %s names itself %q, as %s does", i, d.Name, codec.Name(), other)
		}
		s.codecs[codec.Name()], from[codec.Name()] = codec, d.Name
	}
	if c.PendingBytes < 0 {
		bad("pending_bytes: %d is negative", c.PendingBytes)
	}
	for _, d := range []struct {
		name string
		v    time.Duration
	}{{"connect_timeout", c.ConnectTimeout}, {"idle_timeout", c.IdleTimeout}, {"send_timeout", c.SendTimeout}} {
		if d.v < 0 {
			bad("%s: %v is negative", d.name, d.v)
		}
	}
	if err := checkTemplate(s.DeviceID); err != nil {
		bad("device_id: %w", err)
	}
	return s, errors.Join(errs...)
}

// compile reads a file and runs its vectors.
func (d Definition) compile() (*frame.Codec, error) {
	codec, err := frame.Parse(filepath.Base(d.Name), []byte(d.Source))
	if err != nil {
		return nil, &fault{d.Name, err}
	}
	if r := codec.Check(); !r.Passed() {
		for _, v := range r.Vectors {
			if len(v.Problems) > 0 {
				err = fmt.Errorf("line %d: %s: %s", v.Line, v.Name, v.Problems[0])
				break
			}
		}
		return nil, &fault{d.Name, err}
	}
	return codec, nil
}

// fault is what is wrong with a file.
type fault struct {
	file string
	err  error
}

// Error says the first thing that is wrong, and how to see all of it.
func (f *fault) Error() string {
	first, _, _ := strings.Cut(f.err.Error(), "\n")
	return fmt.Sprintf("%s; see iotctl codec check %s", first, f.file)
}
func (f *fault) Unwrap() error { return f.err }

// codec is the name of the codec in a file that may be broken: if it does not say,
// that of the file.
func (d Definition) codec() string {
	if name := frame.NameIn([]byte(d.Source)); name != "" {
		return name
	}
	return strings.TrimSuffix(filepath.Base(d.Name), filepath.Ext(d.Name))
}
