package format

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"text/template/parse"
)

// maxTemplateBytes bounds what a template makes of one message.
const maxTemplateBytes = 16 << 20

// Template shows records by a template of the language of Go. Beside the functions
// of the language, of which eq, ne, lt, le, gt, ge and printf take the numbers of
// JSON too, it has those of templateFuncs.
type Template struct {
	t *template.Template
}

// ParseTemplate reads a template. The error is a *SyntaxError without a place:
// the language tells but lines, which then begin the reason.
func ParseTemplate(src string) (*Template, error) {
	t, err := template.New("message").Funcs(templateFuncs()).Parse(src)
	if err != nil {
		reason := strings.TrimPrefix(err.Error(), "template: message:")
		line, rest, _ := strings.Cut(reason, ": ")
		if !strings.Contains(src, "\n") {
			reason = rest
		} else {
			reason = "line " + line + ": " + rest
		}
		return nil, &SyntaxError{-1, reason}
	}
	return &Template{t}, nil
}

// Members are those of the record that the template asks for where {{.NAME}} can mean
// nothing else: outside of the bodies of if, with and range, and of expressions.
func (t *Template) Members() []string {
	var names []string
	pipe := func(p *parse.PipeNode) {
		for _, command := range p.Cmds {
			for _, arg := range command.Args {
				if f, ok := arg.(*parse.FieldNode); ok {
					names = append(names, f.Ident[0])
				}
			}
		}
	}
	if t.t.Tree == nil {
		return nil
	}
	for _, node := range t.t.Root.Nodes {
		switch n := node.(type) {
		case *parse.ActionNode:
			pipe(n.Pipe)
		case *parse.IfNode:
			pipe(n.Pipe)
		case *parse.WithNode:
			pipe(n.Pipe)
		case *parse.RangeNode:
			pipe(n.Pipe)
		}
	}
	return names
}

// Append appends what the template makes of record, a tree. An error is the
// template's, in words, and leaves dst as it was.
func (t *Template) Append(dst []byte, record any) ([]byte, error) {
	out := limitedBuffer{Buffer: bytes.NewBuffer(dst)}
	if err := t.t.Execute(&out, record); err != nil {
		return dst, templateError(err)
	}
	return out.Bytes(), nil
}

var errLong = fmt.Errorf("the template gives more than %d MiB", maxTemplateBytes>>20)

// limitedBuffer refuses what goes beyond maxTemplateBytes.
type limitedBuffer struct {
	*bytes.Buffer
	written int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.written += len(p); b.written > maxTemplateBytes {
		return 0, errLong
	}
	return b.Buffer.Write(p)
}

// templateError leaves out where in Go's files an error comes from.
func templateError(err error) error {
	if errors.Is(err, errLong) {
		return errLong
	}
	bad := template.ExecError{}
	if !errors.As(err, &bad) {
		return err
	}
	reason := bad.Err.Error()
	if _, rest, ok := strings.Cut(reason, `executing "message" `); ok {
		reason = rest
	}
	at, what, _ := strings.Cut(reason, ": ")
	switch {
	case strings.HasPrefix(what, "can't evaluate field "):
		name, _, _ := strings.Cut(strings.TrimPrefix(what, "can't evaluate field "), " ")
		what = "there is no member " + name
	case strings.HasPrefix(what, "nil pointer evaluating interface {}."):
		what = "there is no member " + strings.TrimPrefix(what, "nil pointer evaluating interface {}.")
	}
	return errors.New(at + ": " + what)
}
