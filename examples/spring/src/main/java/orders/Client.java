package orders;

import java.util.List;
import java.util.Map;
import org.springframework.security.oauth2.client.AuthorizedClientServiceOAuth2AuthorizedClientManager;
import org.springframework.security.oauth2.client.InMemoryOAuth2AuthorizedClientService;
import org.springframework.security.oauth2.client.OAuth2AuthorizedClientProviderBuilder;
import org.springframework.security.oauth2.client.endpoint.RestClientClientCredentialsTokenResponseClient;
import org.springframework.security.oauth2.client.registration.ClientRegistration;
import org.springframework.security.oauth2.client.registration.InMemoryClientRegistrationRepository;
import org.springframework.security.oauth2.client.web.client.OAuth2ClientHttpRequestInterceptor;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.util.LinkedMultiValueMap;
import org.springframework.web.client.RestClient;

/**
 * A client with Spring Security: get a token for an API key, show it to a service, and print what
 * that answers. The manager keeps the token until shortly before its end.
 */
public class Client {

    public static void main(String[] args) {
        ClientRegistration registration = ClientRegistration.withRegistrationId("tokensvc")
            .tokenUri(System.getenv("ISSUER") + "/v1/token")
            .clientId(System.getenv("KEY_ID"))
            .clientSecret(System.getenv("TOKENSVC_API_KEY"))
            .authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
            .scope("orders:read")
            .build();
        var exchange = new RestClientClientCredentialsTokenResponseClient();
        var audience = Map.of("audience", List.of(System.getenv("AUDIENCE")));
        exchange.addParametersConverter(request -> new LinkedMultiValueMap<>(audience));

        var registrations = new InMemoryClientRegistrationRepository(registration);
        var manager = new AuthorizedClientServiceOAuth2AuthorizedClientManager(
            registrations, new InMemoryOAuth2AuthorizedClientService(registrations));
        manager.setAuthorizedClientProvider(OAuth2AuthorizedClientProviderBuilder.builder()
            .clientCredentials(provider -> provider.accessTokenResponseClient(exchange))
            .build());

        var bearer = new OAuth2ClientHttpRequestInterceptor(manager);
        bearer.setClientRegistrationIdResolver(request -> "tokensvc");
        RestClient rest = RestClient.builder().requestInterceptor(bearer).build();
        System.out.println(
            rest.get().uri(System.getenv("ORDERS_URL")).retrieve().body(String.class));
    }
}
