package serve

import (
	"encoding"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gopkg.in/yaml.v3"

	"github.com/iotctl/iotctl/internal/spelling"
)

// File is the name of a file in settings. In a configuration file it is
// relative to the directory of that file.
type File string

// fileReader is implemented by settings that consist of what is in a file. Its
// name in a configuration file is relative, as that of a File; the content is
// read with the configuration, so that a reload sees whether it has changed.
type fileReader interface {
	// ReadFile takes the content of the file. An error names what is wrong in it.
	ReadFile(name string, content []byte) error
}

// size is a number of bytes, written 1048576, 64KiB or 1MiB.
type size int

// decoder reads YAML nodes into Go values and collects everything that is
// wrong. Unlike yaml.v3's own decoder it knows the path of each problem, and
// it reads settings types without tags: the key of a field is its name in
// snake case, or its yaml tag.
type decoder struct {
	problems
	dir string // for File
}

// keys maps the keys of a mapping to what reads their values.
type keys map[string]func(n *yaml.Node, path string)

// mapping reads n key by key.
func (d *decoder) mapping(n *yaml.Node, path string, ks keys) {
	n = resolve(n)
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "want keys and values, not %s", describe(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		read, known := ks[key.Value]
		switch {
		case seen[key.Value]:
			d.wrong(key, at, "the key is there twice")
		case !known:
			d.unknown(key, at, ks)
		default:
			d.lines[at] = key.Line
			read(value, at)
		}
		seen[key.Value] = true
	}
}

func (d *decoder) unknown(key *yaml.Node, at string, ks keys) {
	hint := ""
	best := min(3, len(key.Value)/3+1) // letters of difference, or fewer in short keys
	for _, k := range slices.Sorted(maps.Keys(ks)) {
		n := spelling.Distance(k, key.Value)
		if n > 1 && sameLetters(k, key.Value) {
			n = 1
		}
		// Few mistype the first letter.
		better := n == best && hint != "" && key.Value != "" && hint[0] != key.Value[0] && k[0] == key.Value[0]
		if n < best || better {
			best, hint = n, k
		}
	}
	if hint != "" {
		hint = fmt.Sprintf("; did you mean %s?", hint)
	}
	d.wrong(key, at, "unknown key%s", hint)
}

// fields are the keys of the struct v.
func (d *decoder) fields(v reflect.Value) keys {
	ks := keys{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, tagged := f.Tag.Lookup("yaml")
		if !tagged {
			name = snake(f.Name)
		}
		if name == "-" || !f.IsExported() || !tagged && !isSetting(f.Type) {
			continue
		}
		ks[name] = func(n *yaml.Node, path string) {
			if f.Type.Kind() == reflect.Int && strings.HasSuffix(f.Name, "Bytes") {
				d.size(n, path, v.Field(i))
				return
			}
			d.value(n, path, v.Field(i))
		}
	}
	return ks
}

// isSetting tells settings from what the program fills in: loggers, functions,
// interfaces and the like.
func isSetting(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Float64, reflect.String:
		return true
	case reflect.Struct:
		return true
	case reflect.Slice:
		return isSetting(t.Elem())
	case reflect.Pointer:
		return t.Elem().Kind() != reflect.Struct && isSetting(t.Elem())
	}
	return false
}

// value reads n into v.
func (d *decoder) value(n *yaml.Node, path string, v reflect.Value) {
	n = resolve(n)
	if isNull(n) {
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		switch v.Addr().Interface().(type) {
		case encoding.TextUnmarshaler, fileReader:
		default:
			d.mapping(n, path, d.fields(v))
			return
		}
	case reflect.Slice:
		d.list(n, path, v)
		return
	}
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, path, "want a single value, not %s", describe(n))
		return
	}
	if err := d.scalar(n, v); err != nil {
		d.wrong(n, path, "%w", err)
	}
}

func (d *decoder) list(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, path, "want a list, not %s", describe(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		d.lines[at] = item.Line
		d.value(item, at, v.Index(i))
	}
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value) error {
	switch p := v.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		return p.UnmarshalText([]byte(n.Value))
	case *time.Duration:
		return setTo(p)(parseDuration(n.Value))
	case *size:
		return setTo(p)(parseSize(n.Value))
	case *File:
		*p = d.find(n.Value)
		return nil
	case fileReader:
		name := string(d.find(n.Value))
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return p.ReadFile(name, content)
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(n.Value)
	case reflect.Bool:
		if n.Tag != "!!bool" {
			return fmt.Errorf("%q is neither true nor false", n.Value)
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil {
			return fmt.Errorf("%q is no number", n.Value)
		}
		v.SetFloat(f)
	case reflect.Int, reflect.Int64:
		i, err := strconv.ParseInt(n.Value, 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is no whole number", n.Value)
		}
		v.SetInt(i)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		u, err := strconv.ParseUint(n.Value, 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is no whole number from 0 to %d", n.Value, 1<<v.Type().Bits()-1)
		}
		v.SetUint(u)
	default:
		panic(fmt.Sprintf("serve: settings of type %s", v.Type())) // of a table entry, not of a file
	}
	return nil
}

// find returns the file that the configuration means by name.
func (d *decoder) find(name string) File {
	if name == "" || filepath.IsAbs(name) {
		return File(name)
	}
	return File(filepath.Join(d.dir, name))
}

// size reads a byte count into a plain int.
func (d *decoder) size(n *yaml.Node, path string, v reflect.Value) {
	var s size
	d.value(n, path, reflect.ValueOf(&s).Elem())
	v.SetInt(int64(s))
}

// wrong notes a problem at n.
func (d *decoder) wrong(n *yaml.Node, path, format string, args ...any) {
	for _, err := range parts(fmt.Errorf(format, args...)) {
		d.all = append(d.all, &Problem{File: d.file, Line: n.Line, Path: path, Err: err})
	}
}

func setTo[T any](p *T) func(T, error) error {
	return func(v T, err error) error {
		if err == nil {
			*p = v
		}
		return err
	}
}

// parseDuration reads "10s", "1h30m" or "7d".
func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration; one looks like 10s, 5m or 7d", s)
	}
	return v, nil
}

// parseSize reads a number of bytes. KB, MB and GB count in 1024s, as they do
// in rates.
func parseSize(s string) (size, error) {
	digits := strings.TrimRight(s, "KMGiB")
	unit := strings.TrimPrefix(s, digits)
	shift, known := map[string]uint{"": 0, "B": 0, "KiB": 10, "KB": 10, "MiB": 20, "MB": 20, "GiB": 30, "GB": 30}[unit]
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 32)
	if err != nil || !known || n<<shift != int64(int(n<<shift)) {
		return 0, fmt.Errorf("%q is no size; one looks like 65536, 64KiB or 1MiB", s)
	}
	return size(n << shift), nil
}

func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == 0 || n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	}
	return strconv.Quote(n.Value)
}

// snake turns MaxPacketBytes into max_packet_bytes and ClientID into client_id.
func snake(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func sameLetters(a, b string) bool {
	x, y := []byte(a), []byte(b)
	slices.Sort(x)
	slices.Sort(y)
	return string(x) == string(y)
}
