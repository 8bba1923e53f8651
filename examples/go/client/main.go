// A client with Go and x/oauth2: get a token for an API key, show it to a service, and print what
// that answers.
//
//	ISSUER=http://127.0.0.1:8080 AUDIENCE=api KEY_ID=key_... TOKENSVC_API_KEY=tsk-... \
//	    ORDERS_URL=http://127.0.0.1:9000/orders go run ./client
package main

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func main() {
	config := clientcredentials.Config{
		ClientID:       os.Getenv("KEY_ID"),
		ClientSecret:   os.Getenv("TOKENSVC_API_KEY"),
		TokenURL:       os.Getenv("ISSUER") + "/v1/token",
		Scopes:         []string{"orders:read"},
		EndpointParams: url.Values{"audience": {os.Getenv("AUDIENCE")}},
		AuthStyle:      oauth2.AuthStyleInHeader,
	}
	// It keeps the token until shortly before its end. It would show it to every host that it is
	// sent to, so it follows no redirect.
	client := config.Client(context.Background())
	client.CheckRedirect = func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}
	answer, err := client.Get(os.Getenv("ORDERS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		log.Fatal(answer.Status, " ", answer.Header.Get("WWW-Authenticate"))
	}
	io.Copy(os.Stdout, answer.Body)
}
