# Install and CPack.
