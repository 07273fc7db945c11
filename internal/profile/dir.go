package profile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/iotctl/iotctl/internal/spelling"
)

// Dir is a directory with a file NAME.yaml for each profile.
type Dir string

const suffix = ".yaml"

// maxBytes bounds a file.
const maxBytes = 1 << 20

// maxParents bounds how many profiles one may be built upon.
const maxParents = 8

// NotFoundError says that there is no such profile.
type NotFoundError struct {
	Name string
	Near string // one that there is; "" if none is like it
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("there is no profile %q", e.Name) }

// ExposedError says that others can read or change a file that should be its owner's.
type ExposedError struct {
	Path string
	Mode fs.FileMode
	What string // is in it
}

func (e *ExposedError) Error() string {
	return fmt.Sprintf("%s: others can read or change it (mode %04o), and it holds %s", e.Path, e.Mode.Perm(), e.What)
}

// Path is the file of a profile.
func (d Dir) Path(name string) string { return filepath.Join(string(d), name+suffix) }

// Names lists the profiles in order. A directory that is not there has none.
func (d Dir) Names() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), suffix); ok && CheckName(name) == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

// Has tells whether there is such a profile.
func (d Dir) Has(name string) bool {
	_, err := os.Stat(d.Path(name))
	return err == nil
}

// Load reads a profile. Errors: *NotFoundError, *ExposedError, those of Parse.
func (d Dir) Load(name string, schema *Schema) (*Profile, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	f, err := os.Open(d.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NotFoundError{name, d.near(name)}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat() // of what is read, whatever happens to the name
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxBytes:
		return nil, fmt.Errorf("%s: longer than %d bytes", f.Name(), maxBytes)
	}
	p, err := Parse(name, f.Name(), text, schema)
	if err != nil {
		return nil, err
	}
	if what := p.Guarded(); what != "" && exposed(info.Mode()) {
		return nil, &ExposedError{f.Name(), info.Mode(), what}
	}
	return p, nil
}

// exposed tells whether others than the owner may read or write. On Windows the bits
// say nothing; there the directory is in that of the user, which others cannot open.
func exposed(m fs.FileMode) bool { return runtime.GOOS != "windows" && m.Perm()&0o077 != 0 }

// Chain is a profile behind those that it is built upon, the farthest first.
func (d Dir) Chain(name string, schema *Schema) ([]*Profile, error) {
	var chain []*Profile
	for name != "" {
		p, err := d.Load(name, schema)
		switch {
		case err != nil && len(chain) > 0:
			return nil, fmt.Errorf("%s: extends: %w", chain[0].Path, err)
		case err != nil:
			return nil, err
		case slices.ContainsFunc(chain, func(q *Profile) bool { return q.Name == name }):
			return nil, fmt.Errorf("%s: extends goes round in a circle", chain[0].Path)
		case len(chain) > maxParents:
			return nil, fmt.Errorf("%s: extends: more than %d profiles", chain[0].Path, maxParents)
		}
		chain = slices.Insert(chain, 0, p)
		name = p.Extends
	}
	return chain, nil
}

func (d Dir) near(name string) string {
	names, _ := d.Names()
	best, least := "", len(name)/2+1
	for _, n := range names {
		if dist := spelling.Distance(name, n); dist < least {
			best, least = n, dist
		}
	}
	return best
}
